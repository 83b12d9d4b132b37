//! Measures how a server answers where its pages are silent, with test accounts that it creates and deletes.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::confirm;
use super::error::SessionError;
use super::target::{Target, cap};
use crate::api::{Call, Client, Credentials, sign};
use crate::clock;
use crate::conformance::{
    AccountLeft, Ask, CHECKS, Check, LOOKUPS_FOR_PHASE, MAX_CALLS, MAX_DELETIONS, MeasuredAnswer, Probe, Profile,
    SECOND_CALLS, SECOND_RATE, Script, SecondPhase, Signed, TestAccounts, which_second,
};
use crate::domain::exit::Exit;
use crate::domain::hint::Message;
use crate::domain::job::Job;
use crate::domain::operation::{ACCOUNT_DELETE, ACCOUNT_IMPORT};
use crate::domain::request::account::UserId;
use crate::domain::response::call_result::CallResult;
use crate::domain::response::codes;
use crate::log;
use crate::rate_limiter::Limiter;
use crate::runner::Signals;
use crate::settings::{Env, load_job};
use crate::stderr::{tell, tell_error};

/// The time between the calls that find out when a second of the server's clock begins.
const BETWEEN_LOOKUPS: Duration = Duration::from_millis(90);
const EXPIRED: Duration = Duration::from_mins(1);
const A_MINUTE: Duration = Duration::from_mins(1);

/// The time before a deletion is repeated. A limit per second has passed then.
const BEFORE_REPETITION: Duration = Duration::from_secs(1);

const NOT_CREATED: &str = "the test accounts cannot be created";

/// Whether a person was asked already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// `--yes`.
    Given,
    /// A person at the terminal is asked.
    Ask,
}

/// The profile of the app of the job, or of a sandbox.
///
/// # Errors
/// The app cannot be called, it does not allow test accounts, or the person does not agree.
pub async fn conformance(file: &Path, env: &Env, is_sandbox: bool, consent: Consent) -> Result<Profile, SessionError> {
    let job = load_job(file, env)?;
    let jobs = std::slice::from_ref(&job);
    let mut target = if is_sandbox { Target::sandbox(jobs).await? } else { Target::of_job(&job, env)? };
    let mut signals = Signals::listen(end_at_once).map_err(SessionError::io("cannot listen for signals"))?;
    let accounts = TestAccounts::new(rand::random());
    if target.is_real() && consent == Consent::Ask {
        if !confirm::is_at_a_terminal() {
            let hint = "add --yes if the app may be written to";
            return Err(SessionError::usage("--conformance writes to the app, and there is no terminal to ask", hint));
        }
        let what = format!(
            "up to {MAX_CALLS} calls create, change and delete test accounts of app {} whose ids begin with {}; ",
            target.sdkappid,
            accounts.prefix()
        );
        confirm::ask(&[target.sdkappid], &what, &mut signals).await?;
    }
    let user = target.user();
    let measured = examined(&target, &job, &accounts, &mut signals).await;
    if let Some(user) = user {
        user.leave().await;
    }
    measured
}

/// Ends the process at once.
fn end_at_once(why: &str) {
    tell(format!("{why}: ended at once; test accounts may be left, whose ids begin with the prefix above"));
    log::finish();
    std::process::exit(Exit::Stopped.code().into());
}

async fn examined(
    target: &Target,
    job: &Job,
    accounts: &TestAccounts,
    signals: &mut Signals,
) -> Result<Profile, SessionError> {
    let mut caller = Caller::new(target, job, accounts)?;
    tell(format!("the ids of the test accounts begin with {}", accounts.prefix()));
    let mut profile = Profile::new(target.endpoint(), clock::now());
    let measured = tokio::select! {
        biased;
        signal = signals.next() => Err(SessionError::Interrupted(signal)),
        measured = caller.measure(accounts, &mut profile) => measured,
    };
    // The accounts are deleted whatever happened before, also if only some of them could be created.
    let deleted = if caller.may_leave_accounts { caller.delete(accounts, MAX_DELETIONS).await } else { Ok(()) };
    profile.calls = caller.calls;
    match (measured, deleted) {
        (Err(error), Err(left)) => {
            // Both are errors: the checks failed, and accounts are left.
            left.messages().into_iter().for_each(tell_error);
            Err(error)
        }
        (measured, deleted) => measured.and(deleted).map(|()| profile),
    }
}

/// Makes the calls of the checks, within the limits that all processes of the machine share.
struct Caller<'a> {
    target: &'a Target,
    usual: Arc<Client>,
    limiter: Limiter,
    test_account: UserId,
    phase: SecondPhase,
    calls: u64,
    /// Whether an import was sent.
    may_leave_accounts: bool,
}

impl<'a> Caller<'a> {
    fn new(target: &'a Target, job: &Job, accounts: &TestAccounts) -> Result<Self, SessionError> {
        let calls_per_day = job.calls_per_day().into_iter().collect();
        let (usual, limiter) = target.connect(job.limits.app_calls_per_second, calls_per_day)?;
        let test_account = super::identity::user_id(&accounts.name("a"))?;
        let phase = SecondPhase::default();
        Ok(Self { target, usual, limiter, test_account, phase, calls: 0, may_leave_accounts: false })
    }

    /// Imports the accounts that the checks need. The accounts are deleted first: an app that does not allow this
    /// could not be left as it was.
    async fn create(&mut self, accounts: &TestAccounts) -> Result<(), SessionError> {
        self.delete(accounts, 1).await?;
        let present = [accounts.present(), accounts.listed()].concat();
        self.may_leave_accounts = true;
        for ids in present.chunks(ACCOUNT_IMPORT.items_per_request) {
            let answer = self.call(&TestAccounts::import(ids)).await?;
            if answer.error_code() != Some(0) {
                return Err(refused(NOT_CREATED, answer.error_code()));
            }
            if answer.has_failed_accounts() {
                let number = present.len();
                let hint = format!("a Trial app has at most 100 accounts; use an app that can have {number} more");
                return Err(SessionError::NotMeasured(Message::new(NOT_CREATED).add_hint(hint)));
            }
        }
        Ok(())
    }

    /// Deletes the test accounts with at most this number of calls for each of them.
    async fn delete(&mut self, accounts: &TestAccounts, most: usize) -> Result<(), SessionError> {
        let prefix = accounts.prefix();
        let mut left = Vec::new();
        for ids in accounts.all().chunks(ACCOUNT_DELETE.items_per_request) {
            left.extend(self.accounts_left(ids, most).await.map_err(|error| match error {
                SessionError::NotMeasured(Message { text, hint }) => {
                    let text = format!("the test accounts that begin with {prefix} cannot be deleted: {text}");
                    SessionError::NotMeasured(Message { text, hint })
                }
                other => other,
            })?);
        }
        let Some(AccountLeft { id, code }) = left.first() else { return Ok(()) };
        let number = left.len();
        let what = format!("{number} test accounts that begin with {prefix}, such as {id}, cannot be deleted");
        Err(refused(&what, *code))
    }

    /// Deletes these accounts, and returns those that may still exist after the last call.
    async fn accounts_left(&mut self, ids: &[String], most: usize) -> Result<Vec<AccountLeft>, SessionError> {
        let mut ids = ids.to_vec();
        let mut calls = 0;
        loop {
            calls += 1;
            match self.call(&TestAccounts::deletion(&ids)).await {
                Ok(answer) => {
                    let left = answer.accounts_left(&ids);
                    if left.is_empty() || calls == most {
                        return Ok(left);
                    }
                    ids = left.into_iter().map(|account| account.id).collect();
                }
                Err(error) if calls == most => return Err(error),
                // The next call may find a connection.
                Err(_) => {}
            }
            sleep(BEFORE_REPETITION).await;
        }
    }

    async fn measure(&mut self, accounts: &TestAccounts, profile: &mut Profile) -> Result<(), SessionError> {
        self.create(accounts).await?;
        for check in &CHECKS {
            let measured = self.check(check, accounts).await?;
            profile.add(check, measured);
        }
        Ok(())
    }

    async fn check(&mut self, check: &Check, accounts: &TestAccounts) -> Result<Option<String>, SessionError> {
        let Script::Sequence(next, read) = check.script else { return self.second(accounts).await };
        let mut answers = Vec::new();
        while let Some(ask) = next(accounts, &answers) {
            let Some(client) = self.client(ask.signed)? else { return Ok(None) };
            answers.push(self.call_with(&client, &ask).await?);
        }
        Ok(read(accounts, &answers))
    }

    /// The client that signs a call so; none if that needs the secret key and only a signature is given.
    fn client(&self, signed: Signed) -> Result<Option<Arc<Client>>, SessionError> {
        let (identifier, issued_at, valid) = match signed {
            Signed::Usually => return Ok(Some(Arc::clone(&self.usual))),
            Signed::ForAMinute => (&self.target.identifier, clock::now(), A_MINUTE),
            Signed::Expired => (&self.target.identifier, clock::now() - 2 * EXPIRED, EXPIRED),
            Signed::ByTestAccount => (&self.test_account, clock::now(), Duration::from_hours(1)),
        };
        let Credentials::Key(key) = self.target.credentials() else { return Ok(None) };
        let usersig = sign(key, self.target.sdkappid, identifier, issued_at, valid);
        self.target.client(identifier.clone(), Credentials::Signature(usersig), NonZeroU32::MIN).map(Some)
    }

    async fn call(&mut self, ask: &Ask) -> Result<MeasuredAnswer, SessionError> {
        let client = Arc::clone(&self.usual);
        self.call_with(&client, ask).await
    }

    async fn call_with(&mut self, client: &Client, ask: &Ask) -> Result<MeasuredAnswer, SessionError> {
        let limit = NonZeroU32::new(ask.command.calls_per_second()).unwrap_or(NonZeroU32::MIN);
        let permit = self.limiter.command(ask.command.limit_name(), cap(limit)?)?.acquire().await?;
        let begun = clock::now();
        let call = client.call(ask.command.path(), ask.body.bytes()).await;
        self.calls += 1;
        self.learn(begun, &call);
        match call.result {
            CallResult::Body(body) => {
                permit.answered(call.round_trip);
                Ok(MeasuredAnswer::read(Some(&body)))
            }
            CallResult::Status(_) => {
                permit.answered(call.round_trip);
                Ok(MeasuredAnswer::read(None))
            }
            CallResult::NoAnswer(_) => {
                permit.unanswered();
                Ok(MeasuredAnswer::read(None))
            }
            CallResult::NotSent(why) | CallResult::UntrustedServer(why) => {
                permit.not_sent();
                let hint = "check the network, and run `imbulk doctor` without --conformance";
                Err(SessionError::NotMeasured(Message::new(format!("no call can be sent: {why}")).add_hint(hint)))
            }
        }
    }

    fn learn(&mut self, begun: Timestamp, call: &Call) {
        if let Some(date) = call.server_time {
            self.phase = self.phase.learn(begun, clock::now(), date);
        }
    }

    /// Sends calls across the end of a second of the server's clock. They exceed the limit of the command, in which no
    /// other call is sent meanwhile, and not that of the app.
    async fn second(&mut self, accounts: &TestAccounts) -> Result<Option<String>, SessionError> {
        let rate = NonZeroU32::new(SECOND_RATE).unwrap_or(NonZeroU32::MIN);
        let limiter = self.limiter.command("account_check across a second", cap(rate)?)?;
        let ask = accounts.lookup();
        sleep(Duration::from_secs(1)).await;
        for _ in 0..LOOKUPS_FOR_PHASE {
            if self.phase.wait(clock::now()).is_some() {
                break;
            }
            self.call(&ask).await?;
            sleep(BETWEEN_LOOKUPS).await;
        }
        let Some(wait) = self.phase.wait(clock::now()) else { return Ok(None) };
        // No lookup of the last second counts any more.
        sleep(wait + Duration::from_secs(1)).await;
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for _ in 0..SECOND_CALLS {
            let permit = limiter.acquire().await?;
            let (client, ask, sent) = (Arc::clone(&self.usual), ask.clone(), begun.elapsed());
            calls.spawn(async move {
                let call = client.call(ask.command.path(), ask.body.bytes()).await;
                let CallResult::Body(body) = &call.result else { return None };
                permit.answered(call.round_trip);
                let (code, date) = (MeasuredAnswer::read(Some(body)).error_code()?, call.server_time?);
                Some(Probe { code, sent, answered: begun.elapsed(), date })
            });
        }
        self.calls += SECOND_CALLS as u64;
        let probes: Vec<Probe> = calls.join_all().await.into_iter().flatten().collect();
        // The calls that follow are within the limit of the command again.
        sleep(Duration::from_secs(1)).await;
        Ok(which_second(&probes))
    }
}

/// The server refused what had to be done for the checks, with this code.
fn refused(what: &str, code: Option<i64>) -> SessionError {
    let (text, hint) = match code {
        Some(code) => match codes::lookup(code) {
            Some(info) => (format!("{what}: code {code}, {}", info.meaning.en), info.advice.en),
            None => (format!("{what}: code {code}"), "look the code up in the API's pages"),
        },
        None => (format!("{what}: the call has no answer"), "check the network, and try again"),
    };
    SessionError::NotMeasured(Message::new(text).add_hint(hint))
}
