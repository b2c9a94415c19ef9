//! The engine as the commands drive it: by the protocol alone, one command after another.

use cytobox::{
    Error,
    device::DeviceChoice,
    engine::{Engine, Host, NoObserver},
    protocol::{Command, ModelReport, Outcome},
};

/// An engine that nobody else uses.
#[derive(Default)]
pub struct Session {
    engine: Engine,
}

impl Session {
    /// With a device, of which it is said which one and why.
    pub fn open(device: DeviceChoice) -> anyhow::Result<Self> {
        let mut session = Self::default();
        match session.run(Command::Start { device, probe: None })? {
            Outcome::Device(report) => eprintln!("{}: {}", report.name, report.why),
            other => return Err(unexpected(&other).into()),
        }
        Ok(session)
    }

    pub fn load(&mut self, name: String, bytes: Vec<u8>) -> anyhow::Result<ModelReport> {
        match self.run(Command::LoadModel { name, bytes })? {
            Outcome::Model(report) => Ok(*report),
            other => Err(unexpected(&other).into()),
        }
    }

    pub fn run(&mut self, command: Command) -> cytobox::Result<Outcome> {
        self.run_for(command, &NoObserver)
    }

    pub fn run_for(&mut self, command: Command, host: &impl Host) -> cytobox::Result<Outcome> {
        pollster::block_on(self.engine.run(command, host))
    }
}

/// An answer of another kind than the protocol promises.
pub fn unexpected(outcome: &Outcome) -> Error {
    Error::Usage(format!("the engine gave an unexpected answer: {outcome:?}"))
}
