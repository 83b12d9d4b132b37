//! `imbulk certify`

use std::path::{Path, PathBuf};

use super::error::Error;
use crate::certificate::{
    CertificateStatement, CertifiedInput, Digest, LeafSource, NAMESPACE, PROVES, RELIES_ON, RunSecret, SCHEMA,
    SECRET_BYTES, Tree, hex, sha256, signature_of,
};
use crate::cli::CertifyArgs;
use crate::clock;
use crate::domain::exit::Exit;
use crate::domain::progress::Phase;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::timestamp::rfc3339;
use crate::export::{PRIVATE, refuse_used_file, write_file, write_leaves};
use crate::queue::{Queue, QueueError, Reader, Run, RunState, StoredCertificate, folder_of};
use crate::session::{SessionError, StepDisplay, find, only_time, refuse_forgotten};
use crate::settings::Env;
use crate::ssh;

/// Writes a certificate of a finished run, or the proofs of one account.
pub(super) async fn certify(args: &CertifyArgs, env: &Env, path: &Path) -> Result<Exit, Error> {
    let reader = Reader::open(path).await?;
    let run = find(&args.name, args.target.as_deref(), &reader).await?;
    refuse_forgotten(&run)?;
    match (&args.prove, &args.key) {
        (Some(id), _) => prove(id, &run, &reader, args, env).await,
        (None, Some(key)) => {
            refuse_unfinished(&run)?;
            for file in [args.output.clone(), signature_of(&args.output)] {
                refuse_used_file(&file, &reader, env.secret_key_files().chain([key.as_path()])).await?;
            }
            drop(reader);
            write_certificate(key, &run, &args.output, path).await
        }
        (None, None) => unreachable!("clap requires one of them"),
    }
}

async fn write_certificate(key: &Path, run: &Run, output: &Path, path: &Path) -> Result<Exit, Error> {
    let fingerprint = ssh::fingerprint(key).map_err(SessionError::Usage)?;
    let mut queue = Queue::open(path).await?;
    let secret = queue.certificate_secret(run.id, &rand::random::<[u8; SECRET_BYTES]>()).await?;
    let reader = queue.reader().await?;
    let (tally, rows, root, _none) = grow(&reader, run, (&secret, None), path).await?;
    let previous = reader.chain_head(run).await?;
    let statement = statement(&reader, run, (tally, rows, &root), (previous, fingerprint)).await?;
    drop(reader);
    let bytes = statement.to_bytes();
    let signature = ssh::sign(key, NAMESPACE, &bytes).map_err(SessionError::Usage)?;
    // The certificate is stored last: without its files, the next one could not be checked.
    write_file(&signature_of(output), PRIVATE, signature.as_bytes()).await?;
    write_file(output, PRIVATE, &bytes).await?;
    let (number, head) = (statement.number, hex(&sha256(&bytes)));
    let stored = StoredCertificate { number, head, root: statement.root };
    queue.store_certificate(run.id, &stored).await?;
    queue.close().await?;
    let (output, rows) = (output.display(), statement.rows);
    super::print(&format!("{output}: certificate {number} of {} on {}, {rows} rows\n", run.job, run.target))
}

async fn prove(id: &str, run: &Run, reader: &Reader, args: &CertifyArgs, env: &Env) -> Result<Exit, Error> {
    let hint = format!("`imbulk certify {} --key KEY --output FILE` makes one", run.uuid);
    let certificate = reader.last_certificate(run.id).await?;
    let (Some(certificate), Some(secret)) = (certificate, reader.certificate_secret(run.id).await?) else {
        return Err(SessionError::usage(format!("run {} has no certificate", run.uuid), hint).into());
    };
    let (_tally, _rows, root, proofs) = grow(reader, run, (&secret, Some(id)), reader.path()).await?;
    if hex(&root) != certificate.root {
        let text = format!("run {} changed since its certificate {}", run.uuid, certificate.number);
        return Err(SessionError::usage(text, hint).into());
    }
    if proofs.is_empty() {
        let hint = "an id must be written as in the results";
        return Err(SessionError::usage(format!("no row of run {} names the account {id}", run.uuid), hint).into());
    }
    let mut text = String::new();
    for (at, proof) in proofs.iter().enumerate() {
        let file = proof_file(&args.output, at);
        refuse_used_file(&file, reader, env.secret_key_files()).await?;
        write_file(&file, PRIVATE, proof).await?;
        let (bytes, number) = (proof.len(), certificate.number);
        text.push_str(&format!("{}: {bytes} bytes, for certificate {number} of {}\n", file.display(), run.job));
    }
    super::print(&text)
}

/// The tree over the rows of a run: the rows by outcome, their number, the root, and the proofs of the account.
async fn grow(
    reader: &Reader,
    run: &Run,
    (secret, wanted): (&[u8], Option<&str>),
    path: &Path,
) -> Result<(Tally, u64, Digest, Vec<Vec<u8>>), Error> {
    let damaged = || QueueError::Damaged(format!("the secret of run {} is too short", run.uuid));
    let secret = RunSecret::new(secret.first_chunk().ok_or_else(damaged)?);
    let operation = run.operation.name.to_owned();
    let source = LeafSource { operation, secret, wanted: wanted.map(str::to_owned) };
    let _shown = StepDisplay::new(Phase::Export, only_time);
    let mut tree = Tree::default();
    let tally = write_leaves(reader, run, source, folder_of(path), &mut tree).await?;
    let (rows, root, proofs) = tree.finish();
    if rows == tally.total() && rows == run.row_count.cast_unsigned() {
        return Ok((tally, rows, root, proofs));
    }
    Err(QueueError::Damaged(format!("run {} has {} rows, its tree {rows}", run.uuid, run.row_count)).into())
}

async fn statement(
    reader: &Reader,
    run: &Run,
    (tally, rows, root): (Tally, u64, &Digest),
    (previous, key): (Option<StoredCertificate>, String),
) -> Result<CertificateStatement, Error> {
    let operation = run.operation;
    let options = operation.options().map(|(option, value)| (option.name.to_owned(), value.name.to_owned()));
    let inputs = reader.input_files(run.id).await?.into_iter();
    Ok(CertificateStatement {
        schema: SCHEMA,
        proves: PROVES.to_owned(),
        relies_on: RELIES_ON.map(str::to_owned).to_vec(),
        job: run.job.clone(),
        target: run.target.to_string(),
        run: run.uuid.clone(),
        operation: operation.name.to_owned(),
        options: options.collect(),
        number: previous.as_ref().map_or(0, |previous| previous.number) + 1,
        previous: previous.map(|previous| previous.head),
        rows,
        outcomes: tally.iter().filter(|(outcome, _)| *outcome != Outcome::Pending).collect(),
        inputs: inputs.map(|file| CertifiedInput { name: file.name, rows: file.facts.rows }).collect(),
        input_digest: run.input_digest.clone(),
        started_at: rfc3339(run.started_at.unwrap_or(run.created_at)),
        finished_at: rfc3339(run.finished_at.unwrap_or(run.created_at)),
        certified_at: rfc3339(clock::now().as_millisecond()),
        root: hex(root),
        key,
        program: format!("imbulk {}", env!("CARGO_PKG_VERSION")),
    })
}

fn refuse_unfinished(run: &Run) -> Result<(), SessionError> {
    if run.state() == RunState::Finished {
        return Ok(());
    }
    let text = format!("run {} of job {} is not finished: only finished runs are certified", run.uuid, run.job);
    Err(SessionError::usage(text, "`imbulk run` of the job finishes it, unless it was given up"))
}

/// The file of a proof: `a.proof`, then `a-2.proof`, `a-3.proof`.
fn proof_file(output: &Path, at: usize) -> PathBuf {
    if at == 0 {
        return output.to_owned();
    }
    let mut name = output.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{}", at + 1));
    if let Some(extension) = output.extension() {
        name.push(".");
        name.push(extension);
    }
    output.with_file_name(name)
}
