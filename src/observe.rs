//! How long work is watched and ended: progress out, cancellation in.

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

/// Whoever waits for a command. By default nothing is shown and nothing cancelled.
pub trait Observer {
    /// Hears how far the work is.
    fn progress(&self, _: Progress) {}

    /// Whether the work is to end with [`Error::Cancelled`]; asked between its stages.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// Gives whoever else runs on this thread a turn. In a browser that is the event loop, through which a cancellation
    /// arrives.
    fn turn(&self) -> impl Future<Output = ()> {
        async {}
    }

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

impl Observer for Unwatched {}
