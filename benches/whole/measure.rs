//! A child process and what it took: wall time, processor time, peak of resident memory.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wait4::Wait4;

use crate::Fallible;
use crate::server::now;

/// What a child took, those included that it waited for itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Bytes. Linux counts the memory of who starts the child in, so the driver holds none of note.
    pub(crate) peak: u64,
}

/// A child at work.
pub(crate) struct Running {
    child: Child,
    started: Instant,
    /// The same on the clock that all processes share.
    pub(crate) started_at: u64,
}

/// Starts a child without standard input. What it says goes to `LOG.out` and `LOG.err`.
pub(crate) fn start(mut command: Command, log: &Path) -> Fallible<Running> {
    let file = |ending| File::create(log.with_extension(ending));
    command.stdin(Stdio::null()).stdout(file("out")?).stderr(file("err")?);
    // What was written before must not be written out at this one's expense.
    rustix::fs::sync();
    let (started, started_at) = (Instant::now(), now());
    let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    Ok(Running { child, started, started_at })
}

/// Runs a child to its end. Any exit code but these is an error.
pub(crate) fn run(command: Command, log: &Path, good: &[i32]) -> Fallible<Usage> {
    start(command, log)?.wait(log, good)
}

impl Running {
    /// Processor time so far.
    pub(crate) fn cpu(&self) -> Fallible<Duration> {
        cpu_of(self.child.id())
    }

    /// `kill -9`, and away with it.
    pub(crate) fn kill(mut self) -> Fallible<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Fallible<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("no pid")?;
        Ok(kill_process(pid, signal)?)
    }

    pub(crate) fn wait(self, log: &Path, good: &[i32]) -> Fallible<Usage> {
        let used = self.child.wait4()?;
        let wall = self.started.elapsed();
        let code = used.status.code().unwrap_or(-1);
        if !good.contains(&code) {
            let said = std::fs::read_to_string(log.with_extension("err")).unwrap_or_default();
            return Err(format!("{} ended with {code}:\n{said}", log.display()).into());
        }
        let rusage = used.rusage;
        Ok(Usage { wall, cpu: rusage.utime + rusage.stime, peak: rusage.maxrss })
    }
}

/// Time on a processor of all threads of a process that is alive, to the nanosecond: the first field of `schedstat`.
/// Threads that have ended are not in it; none of note do while something is watched.
pub(crate) fn cpu_of(pid: u32) -> Fallible<Duration> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // It may have ended since the folder was read.
        let Ok(stat) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += stat.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}

/// How many cores were busy, or idle only because they waited for the disk, over two seconds in which we did nothing.
pub(crate) fn others() -> Fallible<f64> {
    let (busy, all) = processors()?;
    nap(Duration::from_secs(2));
    let (busy_after, all_after) = processors()?;
    let cores = std::thread::available_parallelism()?.get();
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let others = (busy_after - busy) as f64 / (all_after - all).max(1) as f64 * cores as f64;
    Ok(others)
}

/// Ticks so far: of all that is not idle, and of all.
fn processors() -> Fallible<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = first.split_whitespace().skip(1).take(8).filter_map(|text| text.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    // user nice system IDLE iowait irq softirq steal
    Ok((all - ticks.get(3).copied().unwrap_or(0), all))
}

/// Waits between two looks at something.
#[expect(clippy::disallowed_methods, reason = "the driver waits for processes, and has no runtime")]
pub(crate) fn nap(time: Duration) {
    std::thread::sleep(time);
}

/// How many cores were busy.
pub(crate) fn share(cpu: Duration, wall: Duration) -> f64 {
    cpu.as_secs_f64() / wall.as_secs_f64().max(1e-9)
}
