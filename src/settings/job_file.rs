//! The job file: TOML read by serde, then every value checked and every default filled in.

mod keys;
mod raw;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use toml::Spanned;

pub use self::keys::{JOB_KEYS, JobKey};
use self::raw::{
    Paths, RawApp, RawBackup, RawGuard, RawInput, RawJob, RawLimits, RawNotify, RawProtected, RawReport, RawRetry,
    RawStop,
};
pub use self::schema::job_schema;
use super::diagnostic::{InvalidValue, JobFileError, line_of};
use super::env::Env;
use super::values::{
    SpannedInteger, SpannedText, choice, count_or_none, count32, count64, duration, factor, long_duration, optional,
    share, share_or_none, time_of_day, window,
};
use crate::api::{Endpoint, PingUrl, Region};
use crate::domain::hint::{Hint, Message};
use crate::domain::job::{
    App, Backup, Delimiter, Encoding, EndpointChoice, Guard, InputSettings, Job, Limits, Notify, Protection,
    RejectPolicy, Reporting, Retry, Stop, UnusualIds,
};
use crate::domain::operation::{self, BackupSource, BindError, BoundOperation, Operation};
use crate::domain::rate_limit::Cap;
use crate::domain::report_file::{JobReportFile, ReportFormat};
use crate::domain::request::account::UserId;
use crate::domain::time_limit::{TimeLimits, TimeOfDayLimit};

/// The longest name of a job.
pub const NAME_CHARS: usize = 64;
/// One cap for everything that an app is sent (limits page: 200 a second).
pub const APP_CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// How a job retries that does not say so.
pub const DEFAULT_RETRY: Retry = Retry { max_attempts: MAX_ATTEMPTS, base_delay: BASE_DELAY, max_delay: MAX_DELAY };
/// What stops the session of a job that does not say so.
pub const DEFAULT_STOP: Stop =
    Stop { failed_share: FAILED_SHARE, after_items: AFTER_ITEMS.get(), outage: Some(OUTAGE) };
const MAX_ATTEMPTS: NonZeroU32 = NonZeroU32::new(8).unwrap();
const BASE_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_mins(1);
/// Longer than a router takes to restart.
const OUTAGE: Duration = Duration::from_mins(2);
/// The fuse: a run of which half failed is no success, whatever its user expects.
const FAILED_SHARE: f64 = 0.5;
/// Below this number of items a share says little.
const AFTER_ITEMS: NonZeroU64 = NonZeroU64::new(1000).unwrap();

/// Reads the job file at `path`. What the environment says wins over the file's `[app]`.
pub fn load_job(path: &Path, env: &Env) -> Result<Job, JobFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| JobFileError::Read { file: path.to_owned(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let raw = toml::from_str(text).map_err(InvalidValue::from);
    raw.and_then(|raw| job(raw, JobText { path, text }, env)).map_err(|invalid| invalid.in_file(path, text))
}

/// A job file and its text.
#[derive(Debug, Clone, Copy)]
struct JobText<'a> {
    path: &'a Path,
    text: &'a str,
}

fn job(raw: RawJob, file: JobText<'_>, env: &Env) -> Result<Job, InvalidValue> {
    let operations = operation::ALL.iter().map(|operation| (operation.name, *operation)).collect::<Vec<_>>();
    let operation = choice("operation", &raw.operation, &operations)?;
    let folder = file.folder();
    let in_file = app(raw.app)?;
    let app = env.over(in_file.clone());
    Ok(Job {
        name: name(raw.name)?,
        file: file.path.to_owned(),
        priority: optional(raw.priority.as_ref(), |value| count_or_none("priority", value))?.unwrap_or(0),
        operation: bind(&raw.options, &raw.operation, operation)?,
        input: input(raw.input, folder, operation)?,
        app_in_file: in_file,
        app,
        limits: limits(&raw.limits, operation)?,
        retry: retry(&raw.retry)?,
        carry_over: optional(raw.retry.carry_over.as_ref(), |value| count32("retry.carry_over", value))?,
        guard: guard(&raw.guard, file, operation)?,
        stop: stop(&raw.stop)?,
        times: times(&raw.stop)?,
        report: reporting(&raw.report, folder)?,
        notify: notify(&raw.notify, folder)?,
        backup: backup(&raw.backup, file, operation)?,
    })
}

impl<'a> JobText<'a> {
    /// The folder that relative paths start from.
    fn folder(self) -> &'a Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

fn name(value: SpannedText) -> Result<String, InvalidValue> {
    match check_job_name(value.get_ref()) {
        Ok(()) => Ok(value.into_inner()),
        Err(Message { text, hint }) => {
            Err(InvalidValue::new(value.span(), format!("name: {text}")).hint(hint.unwrap_or_default()))
        }
    }
}

/// Whether a text can be the name of a job.
///
/// # Errors
/// A message that says what a name is.
pub fn check_job_name(name: &str) -> Result<(), Message> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // A dash in front would read as a flag in `imbulk status NAME`.
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if first && name.len() <= NAME_CHARS && name.chars().all(legal) {
        return Ok(());
    }
    let hint = format!("use letters, digits, `-`, `_` and `.`, at most {NAME_CHARS}; start with a letter or digit");
    Err(Message::new(format!("`{name}` is not a name for a job")).add_hint(hint))
}

/// The operation with the values of `[options]`; `word` is its name in the file.
fn bind(
    raw: &BTreeMap<SpannedText, SpannedText>,
    word: &SpannedText,
    operation: &'static Operation,
) -> Result<BoundOperation, InvalidValue> {
    let given = raw.iter().map(|(name, value)| (name.get_ref().clone(), value.get_ref().clone())).collect();
    operation.bind(&given).map_err(|error| wrong_option(&error, raw, word, operation))
}

fn wrong_option(
    error: &BindError,
    raw: &BTreeMap<SpannedText, SpannedText>,
    word: &SpannedText,
    operation: &Operation,
) -> InvalidValue {
    let (name_span, value_span) = raw
        .iter()
        .find(|(name, _)| name.get_ref() == error.option())
        .map_or_else(|| (word.span(), word.span()), |(name, value)| (name.span(), value.span()));
    let values = operation.option(error.option()).map_or(&[][..], |option| option.values);
    match error {
        BindError::NotTaken { option, .. } => {
            let all = operation::ALL.iter().flat_map(|operation| operation.options).map(|option| option.name);
            // Two operations may have an option of one name.
            let all: BTreeSet<&str> = all.collect();
            if all.contains(option.as_str()) {
                return InvalidValue::new(value_span, error.to_string()).hint("remove the line");
            }
            InvalidValue::unknown_key(name_span, "options: ", option, &all.into_iter().collect::<Vec<_>>())
        }
        BindError::Missing { option, .. } => {
            let values = values.iter().map(|value| format!("\"{}\" ({})", value.name, value.effect));
            let hint = format!("in [options], {option} = {}", values.collect::<Vec<_>>().join(" or "));
            InvalidValue::new(word.span(), error.to_string()).hint(hint)
        }
        BindError::WrongValue { value, .. } => {
            let legal: Vec<&str> = values.iter().map(|value| value.name).collect();
            InvalidValue::new(value_span, error.to_string()).legal(value, &legal)
        }
    }
}

fn input(raw: RawInput, folder: &Path, operation: &Operation) -> Result<InputSettings, InvalidValue> {
    let encodings = [("utf-8", Encoding::Utf8), ("gbk", Encoding::Gbk)];
    let rejects = [("count", RejectPolicy::Count), ("allow", RejectPolicy::Allow)];
    let unusual = [("reject", UnusualIds::Reject), ("allow", UnusualIds::Allow)];
    let unusual_ids = optional(raw.unusual_ids.as_ref(), |value| choice("input.unusual_ids", value, &unusual))?;
    let encoding = optional(raw.encoding.as_ref(), |value| choice("input.encoding", value, &encodings))?;
    let rejects = optional(raw.rejects.as_ref(), |value| choice("input.rejects", value, &rejects))?;
    Ok(InputSettings {
        paths: paths(raw.path, folder)?,
        columns: columns(raw.columns, operation)?,
        encoding: encoding.unwrap_or(Encoding::Utf8),
        delimiter: optional(raw.delimiter.as_ref(), delimiter)?,
        rejects: rejects.unwrap_or(RejectPolicy::Count),
        unusual_ids: unusual_ids.unwrap_or(UnusualIds::Reject),
    })
}

fn delimiter(value: &SpannedText) -> Result<Delimiter, InvalidValue> {
    if value.get_ref() == "	" {
        return Ok(Delimiter::Tab);
    }
    let words = [(",", Delimiter::Comma), (";", Delimiter::Semicolon), ("tab", Delimiter::Tab), ("|", Delimiter::Pipe)];
    choice("input.delimiter", value, &words)
}

fn paths(value: Spanned<Paths>, folder: &Path) -> Result<Vec<String>, InvalidValue> {
    let span = value.span();
    let paths = match value.into_inner() {
        Paths::One(path) => vec![path],
        Paths::Many(paths) => paths,
    };
    if paths.is_empty() || paths.iter().any(String::is_empty) {
        return Err(InvalidValue::new(span, "input.path: no file is named")
            .hint("name a file, a list of files, a glob, or \"-\""));
    }
    if paths.len() > 1 && paths.iter().any(|path| path == "-") {
        return Err(InvalidValue::new(span, "input.path: standard input cannot be combined with files")
            .hint("write path = \"-\" alone"));
    }
    let joined: Option<Vec<String>> = paths.iter().map(|path| join(folder, path)).collect();
    joined.ok_or_else(|| InvalidValue::new(span, "input.path: the name of the job file's folder is not UTF-8"))
}

/// `path` from the folder of the job file. In front of a glob the folder's own characters mean themselves.
fn join(folder: &Path, path: &str) -> Option<String> {
    if path == "-" || Path::new(path).is_absolute() {
        return Some(path.to_owned());
    }
    if !path.contains(['*', '?', '[']) || folder.join(path).exists() {
        return Some(folder.join(path).to_str()?.to_owned());
    }
    let folder = glob::Pattern::escape(folder.to_str()?);
    Some(Path::new(&folder).join(path).to_str()?.to_owned())
}

fn columns(
    raw: BTreeMap<SpannedText, SpannedText>,
    operation: &Operation,
) -> Result<BTreeMap<String, String>, InvalidValue> {
    let mut columns: BTreeMap<String, String> = BTreeMap::new();
    for (api, own) in raw {
        check_column(&api, operation)?;
        if own.get_ref().is_empty() {
            return Err(InvalidValue::new(
                own.span(),
                format!("input.columns: `{}` is mapped to an empty name", api.get_ref()),
            ));
        }
        if let Some((other, _)) = columns.iter().find(|(_, taken)| *taken == own.get_ref()) {
            let message = format!("input.columns: column `{}` is already mapped to `{other}`", own.get_ref());
            return Err(InvalidValue::new(own.span(), message));
        }
        columns.insert(api.into_inner(), own.into_inner());
    }
    Ok(columns)
}

fn check_column(api: &SpannedText, operation: &Operation) -> Result<(), InvalidValue> {
    let name = api.get_ref().as_str();
    if operation.shape.takes(name) {
        return Ok(());
    }
    let legal = operation.shape.all_columns();
    let legal: Vec<&str> = legal.iter().map(String::as_str).collect();
    let message = format!("input.columns: `{}` has no column `{name}`", operation.name);
    Err(InvalidValue::new(api.span(), message).legal(name, &legal))
}

fn app(raw: RawApp) -> Result<App, InvalidValue> {
    let endpoint = match (raw.region, raw.endpoint) {
        (Some(_), Some(url)) => {
            return Err(
                InvalidValue::new(url.span(), "app: `region` and `endpoint` are both given").hint("remove one of them")
            );
        }
        (Some(region), None) => {
            let region = choice("app.region", &region, &Region::ALL.map(|region| (region.name(), region)))?;
            Some(EndpointChoice::Region(region.name().to_owned()))
        }
        (None, Some(url)) if url.get_ref().trim().is_empty() => {
            return Err(InvalidValue::new(url.span(), "app.endpoint: is empty")
                .hint("write it like https://adminapisgp.im.qcloud.com, or remove the line"));
        }
        (None, url) => url.map(endpoint_url).transpose()?,
    };
    Ok(App {
        sdkappid: optional(raw.sdkappid.as_ref(), |value| count64("app.sdkappid", value))?,
        identifier: raw.identifier.map(identifier).transpose()?,
        endpoint,
    })
}

fn endpoint_url(value: SpannedText) -> Result<EndpointChoice, InvalidValue> {
    match value.get_ref().parse::<Endpoint>() {
        Ok(_) => Ok(EndpointChoice::Url(value.into_inner())),
        Err(why) => {
            Err(InvalidValue::new(value.span(), format!("app.endpoint: {why}")).hint(why.hint().unwrap_or_default()))
        }
    }
}

fn identifier(value: SpannedText) -> Result<String, InvalidValue> {
    match UserId::check(value.get_ref()) {
        Ok(()) => Ok(value.into_inner()),
        Err(why) => Err(InvalidValue::new(value.span(), format!("app.identifier: {why}"))),
    }
}

fn limits(raw: &RawLimits, operation: &Operation) -> Result<Limits, InvalidValue> {
    let count = |key, value: &Option<SpannedInteger>| optional(value.as_ref(), |value| count32(key, value));
    let cap = NonZeroU32::new(operation.calls_per_second).unwrap_or(NonZeroU32::MIN);
    let raised = raw.cap_was_raised.as_ref().is_some_and(|raised| *raised.get_ref());
    let rate = |key, value: &Option<SpannedInteger>, cap| rate(key, value.as_ref(), cap, raised);
    Ok(Limits {
        calls_per_second: rate("limits.calls_per_second", &raw.calls_per_second, cap)?,
        app_calls_per_second: rate("limits.app_calls_per_second", &raw.app_calls_per_second, APP_CALLS_PER_SECOND)?,
        calls_per_day: optional(raw.calls_per_day.as_ref(), |value| count64("limits.calls_per_day", value))?,
        max_in_flight: count("limits.max_in_flight", &raw.max_in_flight)?,
    })
}

/// A rate above the published `cap` is legal only where the job says that Tencent raised it for this app.
fn rate(key: &str, value: Option<&SpannedInteger>, cap: NonZeroU32, raised: bool) -> Result<NonZeroU32, InvalidValue> {
    let Some(value) = value else { return Ok(cap) };
    let rate = count32(key, value)?;
    if let Err(too_high) = Cap::try_from(rate) {
        return Err(InvalidValue::new(value.span(), format!("{key}: {too_high}")));
    }
    if rate > cap && !raised {
        let message = format!("{key}: {rate} is above the published cap of {cap} calls/s");
        let hint = format!("write {cap} or less; if Tencent has raised the cap of this app: cap_was_raised = true");
        return Err(InvalidValue::new(value.span(), message).hint(hint));
    }
    Ok(rate)
}

fn retry(raw: &RawRetry) -> Result<Retry, InvalidValue> {
    let delay = |key, value: &Option<SpannedText>| optional(value.as_ref(), |value| duration(key, value));
    let attempts = optional(raw.max_attempts.as_ref(), |value| count32("retry.max_attempts", value))?;
    let base_delay = delay("retry.base_delay", &raw.base_delay)?.unwrap_or(BASE_DELAY);
    let max_delay = delay("retry.max_delay", &raw.max_delay)?.unwrap_or(MAX_DELAY);
    // The defaults agree, so one of the two is in the file if they don't.
    if base_delay > max_delay
        && let Some(place) = raw.base_delay.as_ref().or(raw.max_delay.as_ref())
    {
        let message = format!("retry.base_delay: {base_delay:?} is longer than `max_delay`, {max_delay:?}");
        return Err(InvalidValue::new(place.span(), message));
    }
    Ok(Retry { max_attempts: attempts.unwrap_or(MAX_ATTEMPTS), base_delay, max_delay })
}

fn guard(raw: &RawGuard, file: JobText<'_>, operation: &Operation) -> Result<Guard, InvalidValue> {
    let max_rejected = optional(raw.max_rejected.as_ref(), |value| share_or_none("guard.max_rejected", value))?;
    let guard = Guard {
        protected: optional(raw.protected.as_ref(), |value| protected(value, file))?,
        min_items: optional(raw.min_items.as_ref(), |value| count64("guard.min_items", value))?,
        max_items: optional(raw.max_items.as_ref(), |value| count64("guard.max_items", value))?,
        max_change: optional(raw.max_change.as_ref(), |value| factor("guard.max_change", value))?,
        max_rejected,
        max_already_done: optional(raw.max_already_done.as_ref(), |value| share("guard.max_already_done", value))?,
        canary: optional(raw.canary.as_ref(), |value| count_or_none("guard.canary", value))?,
        hold: optional(raw.hold.as_ref(), |value| long_duration("guard.hold", value))?,
        approval: optional(raw.approval.as_ref(), |value| allowed_signers(value, file))?,
        unless_online: raw.unless_online.as_ref().is_some_and(|wanted| *wanted.get_ref()),
    };
    if let Some(place) = raw.unless_online.as_ref().filter(|_| guard.unless_online && !operation.online_check) {
        let message = format!("guard.unless_online: `{}` deletes no accounts", operation.name);
        return Err(InvalidValue::new(place.span(), message).hint("remove the line"));
    }
    match (guard.min_items, guard.max_items, &raw.min_items) {
        (Some(min), Some(max), Some(place)) if min > max => {
            Err(InvalidValue::new(place.span(), format!("guard.min_items: {min} is more than `max_items`, {max}"))
                .hint("no input can pass both: change one of them"))
        }
        _ => Ok(guard),
    }
}

fn allowed_signers(value: &SpannedText, job: JobText<'_>) -> Result<PathBuf, InvalidValue> {
    let name = value.get_ref();
    if name.trim().is_empty() {
        let error = InvalidValue::new(value.span(), "guard.approval: no file is named");
        return Err(error.hint("write approval = \"allowed_signers\", a file with the keys that may approve"));
    }
    Ok(job.folder().join(name))
}

fn protected(value: &Spanned<RawProtected>, job: JobText<'_>) -> Result<Protection, InvalidValue> {
    let hint = "write protected = \"never-delete.txt\" (one id per line), or protected = [] if no id must stay";
    match value.get_ref() {
        RawProtected::File(file) if file.trim().is_empty() => {
            Err(InvalidValue::new(value.span(), "guard.protected: no file is named").hint(hint))
        }
        RawProtected::File(file) => {
            Ok(Protection::File { path: job.folder().join(file), line: line_of(job.text, &value.span()) })
        }
        RawProtected::List(ids) if ids.is_empty() => Ok(Protection::Nobody),
        RawProtected::List(_) => {
            Err(InvalidValue::new(value.span(), "guard.protected: ids cannot be listed in the job file").hint(hint))
        }
    }
}

fn stop(raw: &RawStop) -> Result<Stop, InvalidValue> {
    let after_items = optional(raw.after_items.as_ref(), |value| count64("stop.after_items", value))?;
    let failed_share = optional(raw.failed_share.as_ref(), |value| share("stop.failed_share", value))?;
    Ok(Stop {
        failed_share: failed_share.unwrap_or(FAILED_SHARE),
        after_items: after_items.unwrap_or(AFTER_ITEMS).get(),
        outage: optional(raw.outage.as_ref(), outage)?.unwrap_or(Some(OUTAGE)),
    })
}

fn times(raw: &RawStop) -> Result<TimeLimits, InvalidValue> {
    let until = optional(raw.until.as_ref(), |value| time_of_day("stop.until", value))?;
    let window = optional(raw.window.as_ref(), |value| window("stop.window", value))?;
    let daily = match (until, window, &raw.until) {
        (Some(_), Some(_), Some(place)) => {
            return Err(InvalidValue::new(place.span(), "stop.until: the job has `stop.window` as well")
                .hint("remove one of them: a window also says when a session ends"));
        }
        (until, window, _) => until.map(TimeOfDayLimit::Until).or(window.map(TimeOfDayLimit::Window)),
    };
    let max_runtime = optional(raw.max_runtime.as_ref(), |value| long_duration("stop.max_runtime", value))?;
    Ok(TimeLimits { daily, max_runtime })
}

fn reporting(raw: &RawReport, folder: &Path) -> Result<Reporting, InvalidValue> {
    let metrics = optional(raw.metrics.as_ref(), |value| {
        let path = Path::new(value.get_ref());
        // The collector reads no other files, and a slip must not name a file of another kind.
        if path.extension().is_none_or(|extension| extension != "prom") {
            let message = format!("report.metrics: `{}` does not end with `.prom`", path.display());
            let hint = "the textfile collector of node_exporter only reads files whose names end with `.prom`";
            return Err(InvalidValue::new(value.span(), message).hint(hint));
        }
        Ok(folder.join(path))
    });
    let file = optional(raw.file.as_ref(), |value| report_file(value, folder));
    Ok(Reporting { file: file?, metrics: metrics? })
}

fn report_file(value: &SpannedText, folder: &Path) -> Result<JobReportFile, InvalidValue> {
    let template = value.get_ref();
    let invalid = |cause: String| InvalidValue::new(value.span(), format!("report.file: {cause}"));
    let Some(format) = ReportFormat::of(Path::new(template)) else {
        return Err(invalid(format!("`{template}` does not end with .html, .json or .md"))
            .hint("the ending chooses the format: a page, JSON or Markdown"));
    };
    match JobReportFile::unknown_placeholder(template) {
        Some(unknown) => Err(invalid(format!("unknown placeholder `{unknown}`"))
            .hint("write {job} for the name of the job, and {run} for the id of the run")),
        None => Ok(JobReportFile { folder: folder.to_owned(), template: template.clone(), format }),
    }
}

fn notify(raw: &RawNotify, folder: &Path) -> Result<Notify, InvalidValue> {
    let ping = optional(raw.ping.as_ref(), |value| match value.get_ref().parse::<PingUrl>() {
        Ok(_) => Ok(SecretString::from(value.get_ref().as_str())),
        Err(why) => {
            Err(InvalidValue::new(value.span(), format!("notify.ping: {why}")).hint(why.hint().unwrap_or_default()))
        }
    });
    let command = optional(raw.command.as_ref(), |value| match value.get_ref().first() {
        Some(program) if !program.is_empty() => Ok(value.get_ref().clone()),
        Some(_) | None => Err(InvalidValue::new(value.span(), "notify.command: no program is named")
            .hint("write command = [\"./notify.sh\"], with each argument as a text of its own")),
    });
    Ok(Notify { ping: ping?, command: command?.unwrap_or_default(), folder: folder.to_owned() })
}

fn backup(raw: &RawBackup, job: JobText<'_>, operation: &Operation) -> Result<Option<Backup>, InvalidValue> {
    let friends = raw.friends.as_ref().filter(|wanted| *wanted.get_ref());
    if let Some(place) = friends.filter(|_| operation.backup != Some(BackupSource::Profiles)) {
        let message = format!("backup.friends: `{}` deletes no accounts", operation.name);
        return Err(InvalidValue::new(place.span(), message).hint("remove the line"));
    }
    match (&raw.path, friends) {
        (None, Some(place)) => Err(InvalidValue::new(place.span(), "backup.friends: there is no `path`")
            .hint("name a folder in [backup]: path = \"backups/\"")),
        (None, None) => Ok(None),
        (Some(path), _) if path.get_ref().trim().is_empty() => {
            Err(InvalidValue::new(path.span(), "backup.path: no folder is named").hint("write path = \"backups/\""))
        }
        (Some(path), _) => Ok(Some(Backup {
            folder: job.folder().join(path.get_ref()),
            line: line_of(job.text, &path.span()),
            with_friends: friends.is_some(),
        })),
    }
}

/// `2m` or `never`
fn outage(value: &SpannedText) -> Result<Option<Duration>, InvalidValue> {
    if value.get_ref() == "never" {
        return Ok(None);
    }
    let hint = "write a number and its unit, such as \"60s\" or \"2m\", or \"never\"";
    duration("stop.outage", value).map(Some).map_err(|invalid| invalid.hint(hint))
}
