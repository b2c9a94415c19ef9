//! How long work is watched and ended: progress out, cancellation in.

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

/// Whoever waits for a command.
pub trait Observer {
    fn progress(&self, progress: Progress);

    fn is_cancelled(&self) -> bool;

    /// Gives whoever else runs on this thread a turn. In a browser that is the event loop, through which a cancellation
    /// arrives.
    fn turn(&self) -> impl Future<Output = ()>;

    /// Tells where the work is, and ends it with [`Error::Cancelled`] if it is no longer wanted.
    fn stage(&self, stage: &str, done: u32, total: u32) -> impl Future<Output = Result<()>> {
        async move {
            self.progress(Progress { stage: stage.to_owned(), done, total });
            self.turn().await;
            if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
        }
    }
}

/// Nobody watches, nobody cancels.
pub struct Unwatched;

impl Observer for Unwatched {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    async fn turn(&self) {}
}
