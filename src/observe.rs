//! Progress and cancellation of long work.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What is being done, for people: `backbone`, `proposals`, `masks`, …
    pub stage: String,
    /// Parts that are done.
    pub done: u32,
    /// Parts in all.
    pub total: u32,
}

/// Receives the progress of a command and can cancel it. By default it does neither.
pub trait Observer {
    /// Receives how far the work is.
    fn progress(&self, _: Progress) {}

    /// Whether the work is to end with [`Error::Cancelled`]; asked between its stages.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// Yields to other work on this thread; in a browser to the event loop, through which a cancellation arrives.
    fn yield_now(&self) -> impl Future<Output = ()> {
        async {}
    }

    /// Reports the current stage, and returns [`Error::Cancelled`] if the command was cancelled.
    fn stage(&self, stage: &str, done: u32, total: u32) -> impl Future<Output = Result<()>> {
        async move {
            self.progress(Progress { stage: stage.to_owned(), done, total });
            self.yield_now().await;
            if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
        }
    }
}

/// Ignores progress and never cancels.
pub struct NoObserver;

impl Observer for NoObserver {}
