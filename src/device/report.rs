//! What is asked of a device, and what is told about it.

use serde::{Deserialize, Serialize};

/// The device that a user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// A real GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// A GPU; an error where there is none.
    Gpu,
    /// A WebGPU or Vulkan adapter that runs on the CPU, for tests.
    Software,
    /// The CPU.
    Cpu,
}

/// What JavaScript found out about WebGPU before the engine touches it: a browser that lacks it, or lacks
/// `timestamp-query`, would panic inside the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub secure_context: bool,
    /// `navigator.gpu` exists.
    pub webgpu: bool,
    /// `requestAdapter` gave one.
    pub adapter: bool,
    /// The adapter is a software one (`isFallbackAdapter`, or SwiftShader or llvmpipe by name).
    pub software: bool,
    pub timestamp_query: bool,
    /// Vendor, architecture and description of the adapter, as one line.
    pub name: String,
}

/// Which device runs, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceReport {
    /// What it is.
    pub kind: DeviceKind,
    /// The adapter, or the CPU form.
    pub name: String,
    /// A sentence for people.
    pub why: String,
    /// What it was asked, and how well it answered.
    pub self_test: Vec<SelfTest>,
}

/// The kinds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A graphics card.
    Gpu,
    /// A graphics adapter that runs on the CPU.
    Software,
    /// The CPU without an adapter.
    Cpu,
}

/// One known answer that a device was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelfTest {
    /// What it computed.
    pub operator: String,
    /// The largest difference from the known answer, relative to its largest value.
    pub error: f32,
    /// Whether the difference is small enough.
    pub passed: bool,
}
