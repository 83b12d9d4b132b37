//! Rows of tables `certificate` and `certificate_secret`.

use crate::domain::ids::RunId;
use crate::queue::certificate::StoredCertificate;
use crate::queue::error::QueueError;
use crate::queue::run_state::Run;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::{Failure, expect};
use crate::queue::sqlite::reader::Reader;
use crate::queue::sqlite::store::Queue;

/// The columns run, number, head, root and checksum.
type CertificateRow = (RunId, i64, String, String, i64);

impl Queue {
    /// The secret of a run: the one that is stored, or else these bytes, which are stored.
    pub async fn certificate_secret(&mut self, run: RunId, new: &[u8]) -> Result<Vec<u8>, QueueError> {
        let fail = self.fail();
        let stored = async {
            let mut transaction = self.transaction().await?;
            let insert = sqlx::query(
                "INSERT INTO certificate_secret (run, secret, checksum) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            );
            let insert = insert.bind(run).bind(new).bind(checksum::certificate_secret(run, new));
            insert.execute(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        };
        stored.await.map_err(|failure: Failure| failure.into_error(fail))?;
        let reader = self.reader().await?;
        let secret = reader.certificate_secret(run).await?;
        secret.ok_or_else(|| QueueError::Damaged(format!("run {run} has no row in table certificate_secret")))
    }

    /// Stores a certificate of a run.
    pub async fn store_certificate(&mut self, run: RunId, stored: &StoredCertificate) -> Result<(), QueueError> {
        let (fail, number) = (self.fail(), stored.number.cast_signed());
        let inserted = async {
            let mut transaction = self.transaction().await?;
            let insert =
                sqlx::query("INSERT INTO certificate (run, number, head, root, checksum) VALUES (?, ?, ?, ?, ?)");
            let insert = insert.bind(run).bind(number).bind(&stored.head).bind(&stored.root);
            let insert = insert.bind(checksum::certificate(run, number, [&stored.head, &stored.root]));
            expect("certificates stored", 1, insert.execute(&mut *transaction).await?.rows_affected())?;
            Ok(transaction.commit().await?)
        };
        inserted.await.map_err(|failure: Failure| failure.into_error(fail))
    }
}

impl Reader {
    /// The secret of a run, if a certificate was made of it.
    pub async fn certificate_secret(&self, run: RunId) -> Result<Option<Vec<u8>>, QueueError> {
        let found: Option<(Vec<u8>, i64)> =
            sqlx::query_as("SELECT secret, checksum FROM certificate_secret WHERE run = ?")
                .bind(run)
                .fetch_optional(&self.pool)
                .await
                .map_err(self.fail())?;
        let Some((secret, checksum)) = found else { return Ok(None) };
        if checksum == checksum::certificate_secret(run, &secret) {
            return Ok(Some(secret));
        }
        Err(QueueError::Damaged(format!("run {run} has a wrong checksum in table certificate_secret")))
    }

    /// The last certificate of a run.
    pub async fn last_certificate(&self, run: RunId) -> Result<Option<StoredCertificate>, QueueError> {
        let row: Option<CertificateRow> = sqlx::query_as(
            "SELECT run, number, head, root, checksum FROM certificate WHERE run = ? ORDER BY id DESC LIMIT 1",
        )
        .bind(run)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fail())?;
        row.map(read).transpose()
    }

    /// The last certificate of the job and the target of a run, whichever run it is of.
    pub async fn chain_head(&self, run: &Run) -> Result<Option<StoredCertificate>, QueueError> {
        let row: Option<CertificateRow> = sqlx::query_as(
            "SELECT run, number, head, root, checksum FROM certificate
             WHERE run IN (SELECT id FROM run WHERE job = ? AND target = ?) ORDER BY id DESC LIMIT 1",
        )
        .bind(&run.job)
        .bind(run.target.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fail())?;
        row.map(read).transpose()
    }
}

fn read((run, number, head, root, sum): CertificateRow) -> Result<StoredCertificate, QueueError> {
    if sum == checksum::certificate(run, number, [&head, &root]) {
        return Ok(StoredCertificate { number: number.cast_unsigned(), head, root });
    }
    Err(QueueError::Damaged(format!("certificate {number} of run {run} has a wrong checksum")))
}
