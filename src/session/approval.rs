//! Approval by a second person (`guard.approval`). No run begins without a [`Clearance`], and only this file makes one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::SessionError;
use super::job_input::JobInput;
use super::load_or_reuse::ReadyRun;
use crate::clock;
use crate::domain::approval::{
    APPROVAL, ApprovalRefusal, ApprovalRequest, ApprovedRun, REQUEST, SignedApproval, SignedBy, decide,
};
use crate::domain::hint::Message;
use crate::domain::ids::RunId;
use crate::domain::job::Job;
use crate::domain::target::RunTarget;
use crate::queue::{Queue, Run, StoredApproval};
use crate::ssh::{self, SignatureError};

/// A run that may begin.
#[derive(Debug)]
pub(super) struct Clearance {
    run: RunId,
    /// The approval that is used up when the run begins.
    approval: Option<StoredApproval>,
}

impl Clearance {
    /// The run that may begin, and the approval that is stored with it.
    pub(super) fn into_parts(self) -> (RunId, Option<StoredApproval>) {
        (self.run, self.approval)
    }
}

/// The approval of a session.
#[derive(Debug)]
pub(super) struct Approvals {
    /// The file that was signed, and the plan that it must be for.
    file: Option<PathBuf>,
    plan: Option<String>,
    /// Digests of approvals that this session has begun runs with.
    used_here: BTreeSet<String>,
}

impl Approvals {
    /// The approval of `--approval` for the plan of `--plan`.
    pub(super) fn new(file: Option<PathBuf>, plan: Option<String>, jobs: &[Job]) -> Result<Self, SessionError> {
        if file.is_some() && jobs.iter().all(|job| job.guard.approval.is_none()) {
            let hint = "leave out --approval, or set guard.approval in the job file";
            return Err(SessionError::usage("no job of the command requires an approval", hint));
        }
        Ok(Self { file, plan, used_here: BTreeSet::new() })
    }

    /// Whether each run may begin. Nothing is sent if this fails.
    pub(super) async fn clear_all(
        &mut self,
        queue: &mut Queue,
        inputs: &[JobInput],
        ready: &[ReadyRun],
    ) -> Result<Vec<Clearance>, SessionError> {
        let mut clearances = Vec::new();
        for (input, ReadyRun { run, .. }) in inputs.iter().zip(ready) {
            clearances.push(self.clear(queue, input, run).await?);
        }
        Ok(clearances)
    }

    async fn clear(&mut self, queue: &mut Queue, input: &JobInput, run: &Run) -> Result<Clearance, SessionError> {
        let Some(signers) = signers(&input.job, run)? else {
            return Ok(Clearance { run: run.id, approval: None });
        };
        let stored = queue.approvals().await?;
        let was_approved = has_begun_with_approval(run, &stored);
        let (given, approval) = match &self.file {
            Some(file) => {
                let (mut given, approval) = read(file, signers)?;
                let is_stored = stored.iter().any(|(_, stored)| stored.request == approval.request);
                given.is_used = is_stored && !self.used_here.contains(&approval.request);
                (Some(given), Some(approval))
            }
            None => (None, None),
        };
        let wanted = (self.plan.as_deref(), &approved_run(run));
        decide(given.as_ref(), wanted, was_approved, clock::now()).map_err(|refusal| refused(&input.job, refusal))?;
        self.used_here.extend(approval.iter().map(|approval| approval.request.clone()));
        Ok(Clearance { run: run.id, approval })
    }
}

/// Why `run` without an approval would refuse this run; none if it needs no approval, or has begun with one.
pub(super) async fn missing_approval(
    queue: &mut Queue,
    input: &JobInput,
    run: &Run,
) -> Result<Option<SessionError>, SessionError> {
    if signers(&input.job, run)?.is_none() || has_begun_with_approval(run, &queue.approvals().await?) {
        return Ok(None);
    }
    Ok(Some(refused(&input.job, ApprovalRefusal::Missing)))
}

/// The file of those who may approve a run, which can be read; none if the run needs no approval.
fn signers<'a>(job: &'a Job, run: &Run) -> Result<Option<&'a Path>, SessionError> {
    let Some(signers) = job.guard.approval.as_deref().filter(|_| run.target != RunTarget::Sandbox) else {
        return Ok(None);
    };
    std::fs::File::open(signers).map(|_| Some(signers)).map_err(|error| {
        let text = format!("{}: guard.approval: cannot read {}: {error}", job.file.display(), signers.display());
        SessionError::usage(text, "write a line into it for each person who may approve: a name and an ssh public key")
    })
}

/// Whether the run has begun with an approval, so that only its rest is sent.
fn has_begun_with_approval(run: &Run, stored: &[(RunId, StoredApproval)]) -> bool {
    run.started_at.is_some() && stored.iter().any(|(of, _)| *of == run.id)
}

/// A run as an approval describes it.
pub(super) fn approved_run(run: &Run) -> ApprovedRun {
    ApprovedRun {
        job: run.job.clone(),
        run: run.uuid.clone(),
        target: run.target,
        operation: run.operation.name.to_owned(),
        options: run.operation.options_json(),
        rows: run.row_count.cast_unsigned(),
        items: run.item_count.cast_unsigned(),
    }
}

fn refused(job: &Job, refusal: ApprovalRefusal) -> SessionError {
    let place = job.file.display();
    let text = format!("{place}: guard.approval: nothing is sent: {refusal}");
    SessionError::Guard(Message::new(text).add_hint(refusal.hint()))
}

/// Reads an approval and checks both signatures.
fn read(file: &Path, signers: &Path) -> Result<(SignedApproval, StoredApproval), SessionError> {
    let bytes = bytes_of(file)?;
    let requester = signer(file, ".requester.sig", REQUEST, &bytes, signers)?;
    let approver = signer(file, ".sig", APPROVAL, &bytes, signers)?;
    let request: ApprovalRequest = serde_json::from_slice(&bytes).map_err(|error| {
        let text = format!("{}: this is not a request for an approval: {error}", file.display());
        SessionError::usage(text, "`imbulk plan JOB --approval-request FILE --key KEY` writes one")
    })?;
    let stored = StoredApproval {
        request: blake3::hash(&bytes).to_hex().to_string(),
        requester: requester.key.clone(),
        approver: approver.key.clone(),
    };
    Ok((SignedApproval { request, requester, approver, is_used: false }, stored))
}

fn signer(file: &Path, ending: &str, namespace: &str, bytes: &[u8], signers: &Path) -> Result<SignedBy, SessionError> {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    let path = PathBuf::from(name);
    let signature = String::from_utf8_lossy(&bytes_of(&path)?).into_owned();
    let signer = ssh::check(&signature, namespace, bytes, Some(signers)).map_err(|error| match error {
        SignatureError::Refused(why) => {
            let text = format!("{}: the signature is not valid: {why}", path.display());
            let hint = format!("guard.approval names the keys that may sign, in {}", signers.display());
            SessionError::Guard(Message::new(text).add_hint(hint))
        }
        SignatureError::Unchecked(message) => SessionError::Usage(message),
    })?;
    Ok(SignedBy { principal: signer.principal.unwrap_or_default(), key: signer.key })
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, SessionError> {
    std::fs::read(path).map_err(|error| {
        let hint = "an approval FILE has the signatures FILE.requester.sig and FILE.sig beside it";
        SessionError::Guard(Message::new(format!("{}: nothing is sent: {error}", path.display())).add_hint(hint))
    })
}
