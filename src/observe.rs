//! Progress and cancellation of long work.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What is being done, for people: `backbone`, `proposals`, `masks`, …
    pub stage: String,
    pub done: u32,
    pub total: u32,
}

/// Receives the progress of a command and can cancel it.
pub trait Observer {
    fn progress(&self, progress: Progress);

    fn is_cancelled(&self) -> bool;

    /// Yields to other work on this thread; in a browser to the event loop, through which a cancellation arrives.
    fn yield_now(&self) -> impl Future<Output = ()>;

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

impl Observer for NoObserver {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    async fn yield_now(&self) {}
}
