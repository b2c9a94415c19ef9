//! Chooses the device, tests it and reports why it was chosen.
//!
//! A real GPU is used if burn supports it; otherwise everything runs on the CPU (burn flex). A software adapter is used only
//! when requested by name: the CPU backend is faster and needs no driver.

mod log_bridge;
mod report;
mod self_test;

use burn::tensor::{
    Device,
    wgpu::{WgpuSetup, wgpu::DeviceType},
};

pub use self::{
    log_bridge::{install as install_log_bridge, take_fault},
    report::{DeviceChoice, DeviceKind, DeviceReport, Probe, SelfTest},
};
use crate::{
    error::{Error, Result},
    kernels::Adapter,
};

/// A device that has passed the self-test.
#[derive(Debug, Clone)]
pub struct ActiveDevice {
    pub device: Device,
    pub report: DeviceReport,
}

impl ActiveDevice {
    /// Turns an error that the GPU layers only logged into an error of the run. Call it before trusting results.
    ///
    /// wgpu skips a dispatch whose shader does not compile and reports this only in the log. The buffer then still holds its old
    /// contents.
    pub fn check(&self) -> Result<()> {
        match take_fault() {
            Some(reason) => Err(Error::DeviceFailed { device: self.report.name.clone(), reason }),
            None => Ok(()),
        }
    }
}

/// Opens the requested device, or the best available one.
///
/// In a browser `probe` is what JavaScript found out; natively the adapter is queried directly.
///
/// # Errors
/// [`Error::Device`] if a GPU or a software adapter was requested by name and there is none, or its self-test failed.
pub async fn open(choice: DeviceChoice, probe: Option<&Probe>) -> Result<ActiveDevice> {
    install_log_bridge();
    if choice == DeviceChoice::Cpu {
        return open_cpu("the CPU was requested".to_owned()).await;
    }
    let gpu = open_gpu(choice, probe).await;
    or_cpu(choice, gpu).await
}

/// The GPU, or the CPU as a fallback if no device was requested by name.
async fn or_cpu(choice: DeviceChoice, gpu: Result<ActiveDevice, String>) -> Result<ActiveDevice> {
    match gpu {
        Ok(active) => Ok(active),
        Err(refused) if choice == DeviceChoice::Auto => open_cpu(refused).await,
        Err(refused) => Err(Error::Device(refused)),
    }
}

async fn open_cpu(why: String) -> Result<ActiveDevice> {
    // Errors logged by a GPU that was given up do not concern the CPU.
    drop(take_fault());
    let device = Device::flex();
    let tests = self_test::run(&device).await?;
    if let Some(failed) = first_failure(&tests) {
        return Err(Error::Device(format!("the CPU failed its self-test: {failed}")));
    }
    let report = DeviceReport { kind: DeviceKind::Cpu, name: cpu_name(), why, self_test: tests };
    Ok(ActiveDevice { device, report })
}

/// The error explains why no GPU can be used.
async fn open_gpu(choice: DeviceChoice, probe: Option<&Probe>) -> Result<ActiveDevice, String> {
    if let Some(probe) = probe {
        refuse_by_probe(choice, probe)?;
    }
    let (device, setup) = init_gpu(choice).await.map_err(|e| format!("the GPU could not be opened: {e}"))?;
    let info = setup.adapter.get_info();
    let software = probe.map_or(info.device_type == DeviceType::Cpu, |p| p.software);
    if software && choice != DeviceChoice::Software {
        return Err(format!("the only graphics adapter is a software one ({})", info.name));
    }
    // A browser hides the kind of adapter from wasm, but the choice of kernels depends on it.
    if software { Adapter::Software } else { Adapter::Hardware }.set_detected();
    let name = probe.map_or(info.name, |p| p.name.clone());

    let tests = judge(&name, self_test::run(&device).await)?;
    let (kind, why) = if software {
        (DeviceKind::Software, "a software adapter was requested; it is slow and meant for tests".to_owned())
    } else {
        (DeviceKind::Gpu, "a GPU was found and passed the self-test".to_owned())
    };
    Ok(ActiveDevice { device, report: DeviceReport { kind, name, why, self_test: tests } })
}

#[cfg(target_arch = "wasm32")]
async fn init_gpu(_: DeviceChoice) -> Result<(Device, WgpuSetup), String> {
    Device::wgpu_options().init_with_setup_async().await.map_err(|e| e.to_string())
}

#[cfg(not(target_arch = "wasm32"))]
async fn init_gpu(choice: DeviceChoice) -> Result<(Device, WgpuSetup), String> {
    use burn::tensor::DeviceKind as Selector;
    let kind = if choice == DeviceChoice::Software { Selector::Cpu } else { Selector::DefaultDevice };
    Device::wgpu_options().device_kind(kind).init_with_setup_async().await.map_err(|e| e.to_string())
}

/// Refuses everything that would make the GPU layers panic in a browser, before they are used.
fn refuse_by_probe(choice: DeviceChoice, probe: &Probe) -> Result<(), String> {
    let sentence = if !probe.secure_context {
        "WebGPU is only available on pages opened over https or from localhost".to_owned()
    } else if !probe.webgpu {
        "this browser has no WebGPU; current versions of Chrome, Edge, Firefox and Safari do".to_owned()
    } else if !probe.adapter {
        "this browser supports WebGPU but offers no graphics adapter; the GPU may be blocked, see chrome://gpu"
            .to_owned()
    } else if !probe.timestamp_query {
        format!("the graphics adapter ({}) lacks the required feature timestamp-query", probe.name)
    } else if probe.software && choice != DeviceChoice::Software {
        format!("the only graphics adapter is a software one ({})", probe.name)
    } else {
        return Ok(());
    };
    Err(sentence)
}

/// The self-test results of a GPU, or why it cannot be trusted.
fn judge(name: &str, tests: Result<Vec<SelfTest>>) -> Result<Vec<SelfTest>, String> {
    // A logged error is the cause of any other failure.
    if let Some(fault) = take_fault() {
        return Err(format!("{name} failed its self-test: {fault}"));
    }
    let tests = tests.map_err(|e| format!("{name} failed its self-test: {e}"))?;
    match first_failure(&tests) {
        Some(failed) => {
            Err(format!("{name} gave a wrong result in its self-test ({failed}); a driver update may help"))
        }
        None => Ok(tests),
    }
}

fn first_failure(tests: &[SelfTest]) -> Option<String> {
    tests.iter().find(|t| !t.passed).map(|t| format!("{}: relative error {:.1e}", t.operator, t.error))
}

fn cpu_name() -> String {
    let simd = if cfg!(target_feature = "simd128") {
        "CPU, simd128"
    } else if cfg!(target_arch = "wasm32") {
        "CPU, scalar"
    } else {
        "CPU"
    };
    simd.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good_probe() -> Probe {
        Probe {
            secure_context: true,
            webgpu: true,
            adapter: true,
            software: false,
            timestamp_query: true,
            name: "a GPU".into(),
        }
    }

    #[test]
    fn each_missing_feature_has_its_own_message() {
        let refuse = |change: fn(&mut Probe)| {
            let mut probe = good_probe();
            change(&mut probe);
            refuse_by_probe(DeviceChoice::Auto, &probe).unwrap_err()
        };
        assert!(refuse(|p| p.secure_context = false).contains("https"));
        assert!(refuse(|p| p.webgpu = false).contains("no WebGPU"));
        assert!(refuse(|p| p.adapter = false).contains("no graphics adapter"));
        assert!(refuse(|p| p.timestamp_query = false).contains("timestamp-query"));
        assert!(refuse(|p| p.software = true).contains("software"));
        assert_eq!(refuse_by_probe(DeviceChoice::Auto, &good_probe()), Ok(()));
    }

    #[test]
    fn a_software_adapter_is_taken_when_asked_for_by_name() {
        let probe = Probe { software: true, ..good_probe() };
        assert_eq!(refuse_by_probe(DeviceChoice::Software, &probe), Ok(()));
        assert!(refuse_by_probe(DeviceChoice::Gpu, &probe).is_err());
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn the_cpu_replaces_a_gpu_that_fails_its_self_test_and_says_why() {
        let _alone = log_bridge::alone();
        install_log_bridge();
        let refused = || {
            let wrong = pollster::block_on(self_test::with_a_wrong_answer(&Device::flex()));
            judge("a GPU", wrong).unwrap_err()
        };
        let or_cpu = |choice| pollster::block_on(or_cpu(choice, Err(refused())));
        let active = or_cpu(DeviceChoice::Auto).unwrap();
        assert_eq!(active.report.kind, DeviceKind::Cpu);
        let why = &active.report.why;
        assert!(why.contains("a GPU gave a wrong result in its self-test (matrix product"), "{why}");
        assert_eq!(or_cpu(DeviceChoice::Gpu).unwrap_err().code(), "device");
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn errors_logged_by_an_abandoned_gpu_do_not_fail_the_cpu() {
        let _alone = log_bridge::alone();
        install_log_bridge();
        log::error!(target: "wgpu_core", "the adapter is gone");
        let gone = judge("a GPU", Err(Error::Device("no answer".into()))).unwrap_err();
        assert!(gone.contains("the adapter is gone"), "{gone}");
        log::error!(target: "wgpu_core", "and so is its queue");
        let active = pollster::block_on(or_cpu(DeviceChoice::Auto, Err(gone))).unwrap();
        assert_eq!(active.check(), Ok(()));
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn the_cpu_passes_its_self_test_and_says_why_it_runs() {
        let _alone = log_bridge::alone();
        let active = pollster::block_on(open(DeviceChoice::Cpu, None)).unwrap();
        assert_eq!(active.report.kind, DeviceKind::Cpu);
        assert!(active.report.why.contains("requested"));
        assert!(active.report.self_test.len() >= 5 && active.report.self_test.iter().all(|t| t.passed));
    }
}
