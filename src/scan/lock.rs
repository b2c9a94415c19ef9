//! One process at a time on a folder of results, also where machines share the folder.
//!
//! The lock is a file that is created only where there is none, which every file system does at once for all machines. It
//! says who holds it, and its holder counts on in it: who finds the count standing still has found the lock of a process that
//! is gone. Where the file system knows advisory locks the file has one too, so a process of this machine that was killed is
//! recognised without waiting.

#![allow(clippy::disallowed_methods, reason = "native only: a thread counts, and a wait watches the count")]

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(super) const LOCK: &str = "cytobox.lock";

/// How often a holder counts on, and how long it is watched before it is taken for gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub beat: Duration,
    pub watch: Duration,
}

/// Three counts are missed before a lock is taken over; a file server shows a count at the next opening of the file.
const PACE: Pace = Pace { beat: Duration::from_secs(15), watch: Duration::from_secs(50) };
/// Others may take a stale lock at the same time.
const TRIES: usize = 5;

/// What stands in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Holder {
    host: String,
    /// Tells machines of one name apart.
    machine: String,
    pid: u32,
    /// Nanoseconds since 1970.
    started: u64,
    /// Counts on while the process lives.
    beat: u64,
}

impl Holder {
    fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { host: host(), machine: machine(), pid: process::id(), started: started.as_nanos() as u64, beat: 0 }
    }

    fn read(path: &Path) -> std::io::Result<Option<Self>> {
        Ok(serde_json::from_slice(&fs::read(path)?).ok())
    }

    fn is(&self, other: &Self) -> bool {
        (&self.machine, self.pid, self.started) == (&other.machine, other.pid, other.started)
    }

    fn write(&self, file: &mut File) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes)?;
        file.sync_data()
    }

    /// `process 4711 of node07, for 12 minutes`.
    fn words(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let minutes = now.saturating_sub(Duration::from_nanos(self.started)).as_secs() / 60;
        let since = if minutes == 1 { "1 minute".to_owned() } else { format!("{minutes} minutes") };
        format!("process {} on {}, for {since}", self.pid, self.host)
    }
}

/// The lock of a folder, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    path: PathBuf,
    holder: Holder,
    /// Holds the advisory lock.
    _file: File,
    lost: Arc<AtomicBool>,
    beating: Option<(Sender<()>, JoinHandle<()>)>,
}

impl FolderLock {
    /// Locks the folder `out`; `say` is told why that takes a while, and of a lock that is taken over.
    ///
    /// # Errors
    /// [`Error::Usage`] if another process works on it; those of the disk.
    pub fn take(out: &Path, say: &mut dyn FnMut(&str)) -> Result<Self> {
        Self::take_at(out, PACE, say)
    }

    pub fn take_at(out: &Path, pace: Pace, say: &mut dyn FnMut(&str)) -> Result<Self> {
        let path = out.join(LOCK);
        for _ in 0..TRIES {
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Self::hold(path, file, pace),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => release_stale(&path, pace, say)?,
                Err(e) => return Err(Error::io(&path, e)),
            }
        }
        Err(Error::Usage(format!("{}: several processes want this folder at once; try again", path.display())))
    }

    fn hold(path: PathBuf, mut file: File, pace: Pace) -> Result<Self> {
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(in_use(&path, None));
        }
        let holder = Holder::new();
        holder.write(&mut file).map_err(|e| Error::io(&path, e))?;
        let lost = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = mpsc::channel();
        let mut beating = file.try_clone().map_err(|e| Error::io(&path, e))?;
        let (mut counted, at, is_lost) = (holder.clone(), path.clone(), lost.clone());
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(pace.beat) == Err(RecvTimeoutError::Timeout) {
                if !is_own(&at, &counted) {
                    return is_lost.store(true, Ordering::Relaxed);
                }
                counted.beat += 1;
                // A full disk keeps the length of the file; a server that is away is asked again.
                let _ = counted.write(&mut beating);
            }
        });
        Ok(Self { path, holder, _file: file, lost, beating: Some((stop, thread)) })
    }

    /// # Errors
    /// [`Error::Usage`] if another process has taken the lock, because this one stood still for too long or somebody
    /// deleted it.
    pub fn check(&self) -> Result<()> {
        if !self.lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{}: the lock of this folder is gone, or another process has it; nothing more is written",
            self.path.display()
        )))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.beating.take() {
            drop(stop);
            // It does not panic, and a lock that stays is taken over.
            let _ = thread.join();
        }
        if is_own(&self.path, &self.holder) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A server that is away does not take a lock away.
fn is_own(path: &Path, holder: &Holder) -> bool {
    match Holder::read(path) {
        Ok(Some(found)) => found.is(holder),
        Ok(None) => true,
        Err(e) => e.kind() != ErrorKind::NotFound,
    }
}

/// Removes the lock of a process that is gone.
///
/// # Errors
/// [`Error::Usage`] if the process is not gone.
fn release_stale(path: &Path, pace: Pace, say: &mut dyn FnMut(&str)) -> Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(path, e)),
    };
    let advisory = file.try_lock();
    let mut bytes = Vec::new();
    // What cannot be read is locked on Windows, and else being written.
    let is_read = file.read_to_end(&mut bytes).is_ok();
    let found: Option<Holder> = serde_json::from_slice(&bytes).ok();
    if is_read && fs::read(path).is_ok_and(|now| now != bytes) {
        // Another process was faster: this is no longer the file that was opened.
        return Ok(());
    }
    let is_here = found.as_ref().is_some_and(|holder| holder.machine == machine() && holder.machine != NOWHERE);
    let is_gone = match (&advisory, &found) {
        (Err(TryLockError::WouldBlock), _) => return Err(in_use(path, found.as_ref())),
        // Nobody on this machine holds what this process just got.
        (Ok(()), _) if is_here => true,
        (Err(TryLockError::Error(_)), Some(holder)) if is_here => !is_alive(holder.pid),
        _ => false,
    };
    if !is_gone {
        let who = found.as_ref().map_or_else(|| "somebody".to_owned(), Holder::words);
        let seconds = pace.watch.as_secs();
        say(&format!("{}: locked by {who}; waiting up to {seconds} s for a sign of life", path.display()));
        let ends = SystemTime::now() + pace.watch;
        while SystemTime::now() < ends {
            thread::sleep(pace.beat / 4);
            match fs::read(path) {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                Ok(now) if now != bytes => return Err(in_use(path, found.as_ref())),
                _ => {}
            }
        }
    }
    remove_stale(path, found.as_ref())?;
    let who = found.as_ref().map_or_else(|| "a process".to_owned(), Holder::words);
    say(&format!("{}: the lock of a process that is gone ({who}) is taken over", path.display()));
    Ok(())
}

/// Moves the file away first, as another process may do the same: only one succeeds, and who has moved a fresh lock instead
/// puts it back.
fn remove_stale(path: &Path, stale: Option<&Holder>) -> Result<()> {
    let own = Holder::new();
    let aside = path.with_file_name(format!("{LOCK}.{}-{}-{}", own.host, own.pid, own.started));
    match fs::rename(path, &aside) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        moved => moved.map_err(|e| Error::io(path, e))?,
    }
    let moved = Holder::read(&aside).ok().flatten();
    let is_fresh = moved.as_ref().is_some_and(|moved| stale.is_none_or(|stale| !stale.is(moved)));
    let removed = match is_fresh {
        true => fs::hard_link(&aside, path).and_then(|()| fs::remove_file(&aside)),
        false => fs::remove_file(&aside),
    };
    removed.map_err(|e| Error::io(&aside, e))?;
    if is_fresh { Err(in_use(path, moved.as_ref())) } else { Ok(()) }
}

fn in_use(path: &Path, holder: Option<&Holder>) -> Error {
    let folder = path.parent().unwrap_or(path).display();
    let who = holder.map_or_else(String::new, |holder| format!(" ({})", holder.words()));
    Error::Usage(format!(
        "{folder} is in use: another detection writes to this folder{who}; wait for its end, or use another --out"
    ))
}

const NOWHERE: &str = "unknown";

/// The name of this machine.
fn host() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let asked = || process::Command::new("hostname").output().ok().and_then(|out| String::from_utf8(out.stdout).ok());
    let name = told.or_else(asked).map(|name| name.trim().replace(['/', '\\'], "_")).unwrap_or_default();
    if name.is_empty() { NOWHERE.to_owned() } else { name }
}

/// Containers of one machine share it, and clones of a machine do not. Where there is none, the name must do.
fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    boot.map(|id| id.trim().to_owned()).ok().filter(|id| !id.is_empty()).unwrap_or_else(host)
}

/// Where that cannot be told, a process is taken to live.
fn is_alive(pid: u32) -> bool {
    !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Pace = Pace { beat: Duration::from_millis(40), watch: Duration::from_millis(400) };

    fn take(out: &Path) -> (Result<FolderLock>, String) {
        let mut said = String::new();
        let lock = FolderLock::take_at(out, QUICK, &mut |sentence| said.push_str(sentence));
        (lock, said)
    }

    fn elsewhere(beat: u64) -> Holder {
        Holder { host: "node07".into(), machine: "another".into(), pid: 1, started: 1, beat }
    }

    fn left_behind(out: &Path, holder: &Holder) {
        fs::write(out.join(LOCK), serde_json::to_vec(holder).unwrap()).unwrap();
    }

    fn files(out: &Path) -> usize {
        fs::read_dir(out).unwrap().count()
    }

    #[test]
    fn a_second_process_is_refused_and_told_by_whom() {
        let out = tempfile::tempdir().unwrap();
        let (lock, said) = take(out.path());
        let refused = take(out.path()).0.unwrap_err().to_string();
        let pid = process::id().to_string();
        assert!(refused.contains("is in use") && refused.contains(&pid) && refused.contains(&host()), "{refused}");
        assert!(said.is_empty() && lock.as_ref().unwrap().check().is_ok());
        drop(lock);
        assert_eq!(files(out.path()), 0);
        assert!(take(out.path()).0.is_ok());
    }

    #[test]
    fn the_lock_of_a_process_that_was_killed_here_is_taken_over_at_once() {
        let out = tempfile::tempdir().unwrap();
        left_behind(out.path(), &Holder { pid: u32::MAX, ..Holder::new() });
        let started = std::time::Instant::now();
        let (lock, said) = take(out.path());
        assert!(lock.is_ok() && said.contains("taken over") && started.elapsed() < QUICK.watch, "{said}");
        drop(lock);
        assert_eq!(files(out.path()), 0);
    }

    #[test]
    fn the_lock_of_another_machine_is_watched_first() {
        let out = tempfile::tempdir().unwrap();
        left_behind(out.path(), &elsewhere(7));
        let started = std::time::Instant::now();
        let (lock, said) = take(out.path());
        assert!(lock.is_ok() && started.elapsed() >= QUICK.watch && said.contains("node07"), "{said}");
        drop(lock);

        // One that counts on is alive.
        let path = out.path().join(LOCK);
        left_behind(out.path(), &elsewhere(7));
        let counts = thread::spawn(move || {
            for beat in 8..40 {
                thread::sleep(QUICK.beat);
                fs::write(&path, serde_json::to_vec(&elsewhere(beat)).unwrap()).unwrap();
            }
        });
        let refused = take(out.path()).0.unwrap_err().to_string();
        assert!(refused.contains("node07"), "{refused}");
        counts.join().unwrap();
    }

    #[test]
    fn a_lock_that_another_took_is_noticed_and_left_to_it() {
        let out = tempfile::tempdir().unwrap();
        let lock = take(out.path()).0.unwrap();
        left_behind(out.path(), &elsewhere(7));
        thread::sleep(4 * QUICK.beat);
        assert!(lock.check().unwrap_err().to_string().contains("another process"));
        drop(lock);
        assert_eq!(files(out.path()), 1);
    }

    #[test]
    fn of_many_that_want_a_stale_lock_one_gets_it() {
        let out = tempfile::tempdir().unwrap();
        for stale in [Holder { pid: u32::MAX, ..Holder::new() }, elsewhere(7)] {
            left_behind(out.path(), &stale);
            let all: Vec<_> = (0..8)
                .map(|_| {
                    let out = out.path().to_owned();
                    thread::spawn(move || take(&out).0.ok())
                })
                .collect();
            let locks: Vec<FolderLock> = all.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
            assert_eq!(locks.len(), 1, "{stale:?}");
            drop(locks);
            assert_eq!(files(out.path()), 0);
        }
    }
}
