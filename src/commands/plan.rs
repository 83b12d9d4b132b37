//! `imbulk plan`

use std::path::{Path, PathBuf};

use jiff::SignedDuration;

use super::error::Error;
use crate::cli;
use crate::clock;
use crate::domain::approval::{APPROVAL, ApprovalRequest, REQUEST, VALID_HOURS};
use crate::domain::exit::Exit;
use crate::domain::timestamp::rfc3339;
use crate::export::{READABLE, refuse_used_file, write_file};
use crate::queue::Reader;
use crate::report::plan::{Plan, closing};
use crate::session::{self, Planned, SessionError};
use crate::settings::Env;
use crate::ssh;
use crate::stderr::tell;
use crate::stdout::{print, print_json};

/// What the signature of a second person means.
const MEANING: &str = "The person who signs this file has checked the plan and its numbers, and allows that it is sent \
                       once before it expires.";

/// Shows what would be sent. Exits 4 where `run` would refuse.
pub(super) async fn plan(args: &cli::PlanArgs, env: &Env, queue: &Path) -> Result<Exit, Error> {
    let approval = args.approval_request.as_deref();
    let (planned, exit) = show_planned((&args.jobs, approval), args.json, env, queue).await?;
    if let (Some(file), Some(key)) = (&args.approval_request, &args.key) {
        let signature = with_ending(file, ".requester.sig");
        let reader = Reader::open(queue).await?;
        for output in [file.as_path(), &signature] {
            refuse_used_file(output, &reader, env.secret_key_files().chain([key.as_path()])).await?;
        }
        ask_for_approval(planned, (file, &signature), key).await?;
    }
    Ok(exit)
}

/// The file beside `file` whose name is longer by `ending`.
fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Writes the request for an approval of the plan, and the signature of the person who asks.
async fn ask_for_approval(
    Planned { plans, runs, lacks_approval }: Planned,
    (file, signed): (&Path, &Path),
    key: &Path,
) -> Result<(), Error> {
    let Some(plan) = plans.into_iter().find_map(|plan| plan.plan_id).filter(|_| lacks_approval) else {
        let hint = "the plan says what `run` would send; guard.approval in the job file requires an approval";
        return Err(SessionError::usage("no run of this plan needs an approval", hint).into());
    };
    let request = ApprovalRequest {
        schema: 1,
        meaning: MEANING.to_owned(),
        plan,
        runs,
        requested_by: ssh::fingerprint(key).map_err(SessionError::Usage)?,
        expires_at: rfc3339((clock::now() + SignedDuration::from_hours(VALID_HOURS)).as_millisecond()),
    };
    let bytes = format!("{}\n", serde_json::to_string_pretty(&request).expect("texts and numbers are JSON"));
    let signature = ssh::sign(key, REQUEST, bytes.as_bytes()).map_err(SessionError::Usage)?;
    for (file, text) in [(signed, &signature), (file, &bytes)] {
        write_file(file, READABLE, text.as_bytes()).await?;
    }
    let file = file.display();
    tell(format!(
        "{file}: a second person signs it within {VALID_HOURS} h: ssh-keygen -Y sign -n {APPROVAL} -f KEY {file}"
    ));
    Ok(())
}

/// Shows the plan, also for `run` without `--execute`.
pub(super) async fn show(jobs: &[PathBuf], json: bool, env: &Env, queue: &Path) -> Result<Exit, Error> {
    Ok(show_planned((jobs, None), json, env, queue).await?.1)
}

/// `approval`: the request for an approval that is written after this.
async fn show_planned(
    (jobs, approval): (&[PathBuf], Option<&Path>),
    json: bool,
    env: &Env,
    queue: &Path,
) -> Result<(Planned, Exit), Error> {
    let planned = session::until_signal(Box::pin(session::plan(jobs, approval.is_some(), env, queue))).await?;
    let plans = &planned.plans;
    if json {
        print_json(plans).map_err(Error::io("stdout"))?;
    } else {
        let files: Vec<String> = jobs.iter().map(|file| file.display().to_string()).collect();
        let texts: Vec<String> = plans.iter().map(Plan::text).collect();
        print(&format!("{}{}", texts.join("\n"), closing(plans, &files, approval))).map_err(Error::io("stdout"))?;
    }
    let is_refused = |plan: &Plan| !plan.conditions.refusals.is_empty() || !plan.conditions.later_refusals.is_empty();
    let exit = if plans.iter().any(is_refused) { Exit::Halted } else { Exit::Done };
    Ok((planned, exit))
}
