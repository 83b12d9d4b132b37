//! Checks what a run of a job needs, without writing to the app.

use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::SessionError;
use super::identity::{credentials, identity};
use super::jobs;
use super::target::{Target, cap};
use super::target_settings::target_name;
use crate::api::{Call, Credentials};
use crate::clock;
use crate::doctor::{self, BackupFacts, DiskFacts, Finding, QueueFacts};
use crate::domain::guard::Bytes;
use crate::domain::job::{Job, Protection};
use crate::domain::operation::{ReadCommand, read_command};
use crate::domain::response::call_result::CallResult;
use crate::domain::target::RunTarget;
use crate::input::{self, Source};
use crate::queue::{disk_space, folder_of, free_bytes};
use crate::report::counted;
use crate::settings::{APP_CALLS_PER_SECOND, Env, load_job, load_protected};

/// A read-only call that every admin may make.
const CHECK: ReadCommand = ReadCommand::ACCOUNT_CHECK;
const CHECK_CAP: NonZeroU32 = NonZeroU32::new(CHECK.calls_per_second).unwrap();

/// The target that is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Examined {
    /// The app of the job.
    App,
    /// A sandbox that is started for it.
    Sandbox,
}

/// Checks everything that a run of the job needs. One call that writes nothing is sent.
///
/// # Errors
/// The job file cannot be used.
pub async fn examine(file: &Path, env: &Env, queue: &Path, target: Examined) -> Result<Vec<Finding>, SessionError> {
    let job = load_job(file, env)?;
    let mut findings = vec![Finding::ok("job", format!("{}: {}", file.display(), job.operation.name))];
    findings.push(protected_list(&job, target));
    let (input, disk) = input(&job, queue);
    findings.push(input);
    findings.push(doctor::limits(&job, APP_CALLS_PER_SECOND));
    findings.push(doctor::queue_file(&queue_facts(queue)));
    findings.push(doctor::disk(&disk, job.operation.items_per_request));
    findings.extend(backup(&job, disk.input));
    findings.push(environment(env));
    match target {
        Examined::Sandbox => {
            findings.push(Finding::ok("credentials", "the sandbox needs none"));
            findings.extend(call(&Target::sandbox(std::slice::from_ref(&job)).await?, &job).await);
        }
        Examined::App => {
            let known = signer(&job, env);
            let can_sign = doctor::is_usable(&known);
            findings.extend(known);
            if can_sign {
                match Target::of_job(&job, env) {
                    Ok(mut target) => {
                        findings.extend(call(&target, &job).await);
                        if let Some(user) = target.user() {
                            user.leave().await;
                        }
                    }
                    Err(error) => findings.push(Finding::of("connection", &error)),
                }
            }
        }
    }
    Ok(findings)
}

fn protected_list(job: &Job, target: Examined) -> Finding {
    const CHECK: &str = "protected";
    // A job that names no app is examined as one that will name it.
    let is_real = target == Examined::App && !matches!(target_name(&job.app), RunTarget::Loopback(_));
    if is_real && let Err(error) = jobs::check_protection(job, &job.operation) {
        return Finding::of(CHECK, &error);
    }
    match load_protected(job) {
        Err(error) => Finding::of(CHECK, &error),
        Ok(list) => match &job.guard.protected {
            Some(Protection::File { path, .. }) => {
                let ids = counted(list.ids() as u64, "id", "ids");
                let patterns = counted(list.patterns() as u64, "pattern", "patterns");
                let text = format!("{}: {ids} and {patterns}", path.display());
                Finding::ok(CHECK, text)
            }
            Some(Protection::Nobody) | None => Finding::ok(CHECK, "only the admins"),
        },
    }
}

/// The input files can be opened, and their headers have the columns.
fn input(job: &Job, queue: &Path) -> (Finding, DiskFacts) {
    const CHECK: &str = "input";
    let mut disk = DiskFacts { space: disk_space(queue, 0), input: 0, is_compressed: false };
    if job.input.paths.iter().any(|path| path == "-") {
        return (Finding::ok(CHECK, "standard input: not read"), disk);
    }
    let opened = input::open(&job.input, folder_of(queue)).and_then(|sources| {
        sources
            .iter()
            .try_for_each(|source| source.field_columns(&job.operation.shape, &job.input).map(|_fields| ()))?;
        Ok(sources)
    });
    let sources = match opened {
        Ok(sources) => sources,
        Err(error) => return (Finding::of(CHECK, &error), disk),
    };
    disk.input = sources.iter().map(Source::size).sum();
    let is_packed =
        |end: &std::ffi::OsStr| ["gz", "gzip", "zst", "zstd"].iter().any(|known| end.eq_ignore_ascii_case(known));
    disk.is_compressed = sources.iter().any(|source| Path::new(source.name()).extension().is_some_and(is_packed));
    let names: Vec<&str> = sources.iter().map(Source::name).collect();
    (Finding::ok(CHECK, format!("{} ({})", names.join(", "), Bytes(disk.input))), disk)
}

/// The folder of the backup, if the job asks for one.
fn backup(job: &Job, input: u64) -> Option<Finding> {
    let backup = job.backup.as_ref()?;
    if let Err(error) = jobs::check_backup(job) {
        return Some(Finding::of("backup", &error));
    }
    let (folder, exists) = (backup.folder.display().to_string(), backup.folder.exists());
    Some(doctor::backup(&BackupFacts { folder, exists, free: free_bytes(&backup.folder), input }))
}

fn queue_facts(queue: &Path) -> QueueFacts {
    let mode = std::fs::metadata(queue).ok().map(|metadata| metadata.permissions().mode());
    let unwritable = tempfile::tempfile_in(folder_of(queue)).err().map(|error| error.to_string());
    QueueFacts { path: queue.display().to_string(), mode, unwritable }
}

fn environment(env: &Env) -> Finding {
    match jobs::check_environment(env) {
        Err(error) => Finding::of("environment", &error),
        Ok(()) if !clock::knows_zone() => {
            let text = "the time zone of this machine cannot be read: `stop.until` is taken as UTC";
            Finding::warning("time zone", text, "set TZ, for example TZ=Asia/Shanghai")
        }
        Ok(()) => {
            let now = clock::local_now();
            Finding::ok("time zone", format!("{}", now.strftime("%Z (%:z), now %H:%M")))
        }
    }
}

/// The admin and its credentials, and whether they can sign.
fn signer(job: &Job, env: &Env) -> Vec<Finding> {
    let (sdkappid, identifier) = match identity(&job.app) {
        Ok(identity) => identity,
        Err(error) => return vec![Finding::of("app", &error)],
    };
    let mut findings = vec![Finding::ok("app", format!("{sdkappid}, signed by {identifier}"))];
    match (credentials(env, Some(sdkappid)), env.credential(Some(sdkappid))) {
        (Err(error), _) => findings.push(Finding::of("credentials", &error)),
        (Ok(credentials), known) => {
            let variable = known.ok().flatten().map_or_else(String::new, |credential| credential.variable);
            findings.push(Finding::ok("credentials", format!("{variable} is set")));
            if let Credentials::Signature(usersig) = credentials {
                let (claims, now) = (usersig.claims(), clock::now());
                findings.push(doctor::given_usersig(&variable, claims, sdkappid, identifier.as_str(), now));
            }
        }
    }
    findings
}

async fn call(target: &Target, job: &Job) -> Vec<Finding> {
    match sent(target, job).await {
        Ok((Call { result, round_trip, server_time, .. }, endpoint)) => {
            let admin = target.identifier.as_str();
            let mut findings = doctor::answered(&result, round_trip, &endpoint, admin);
            if matches!(result, CallResult::Body(_)) {
                findings.push(doctor::compared_clock(clock::now(), server_time));
            }
            findings
        }
        Err(error) => vec![Finding::of("connection", &error)],
    }
}

/// Sends the call, within the limits that all processes of the machine share.
async fn sent(target: &Target, job: &Job) -> Result<(Call, String), SessionError> {
    let calls_per_day = job.calls_per_day().into_iter().collect();
    let (client, limiter) = target.connect(job.limits.app_calls_per_second, calls_per_day)?;
    let permit = limiter.command(CHECK.name, cap(CHECK_CAP)?)?.acquire().await?;
    let body = read_command::account_check(&[target.identifier.as_str()]);
    let call = client.call(CHECK.path, body).await;
    match call.result {
        CallResult::Body(_) | CallResult::Status(_) => permit.answered(call.round_trip),
        CallResult::NotSent(_) | CallResult::UntrustedServer(_) => permit.not_sent(),
        CallResult::NoAnswer(_) => permit.unanswered(),
    }
    Ok((call, target.endpoint()))
}
