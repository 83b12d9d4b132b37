//! What the answers to changes leave unknown is settled by lookups.

use std::time::Instant;

use imbulk_sandbox::{Command, World};

use imbulk_testkit::journal_check::Evidence;
use imbulk_testkit::rows::{InputRow, ResultRow, plain, tally};
use imbulk_testkit::{JobFile, PATIENCE, Workspace, WorkspaceSetup};

/// The command that looks up the items of an operation.
fn lookup_of(operation: Command) -> Command {
    if operation == Command::AccountDelete { Command::AccountCheck } else { Command::FriendCheck }
}

struct Played {
    workspace: Workspace,
    job: String,
    asked: Vec<InputRow>,
    operation: Command,
    both: bool,
}

impl Played {
    fn new(operation: Command, both: bool, rows: usize, faults: &[&str]) -> Self {
        let asked = plain(operation, rows);
        let job = JobFile::new("job", operation).rows(&asked).with("retry", "max_attempts", 3);
        let job = job.with("stop", "failed_share", 1.0);
        // All accounts exist for pairs, since the pairs of a missing account fail.
        let world = match operation {
            Command::AccountDelete => || World::open_with_missing(7, 0.05, 0.0),
            _ => || World::open_with_missing(7, 0.0, 0.3),
        };
        let (workspace, job) =
            if both { job.both() } else { job }.on(WorkspaceSetup { world, ..WorkspaceSetup::default() });
        workspace.faults(faults);
        Self { workspace, job, asked, operation, both }
    }

    fn lookups(&self) -> u64 {
        self.workspace.report().commands[&lookup_of(self.operation)].calls
    }

    fn rows(&self) -> Vec<ResultRow> {
        self.workspace.results("job")
    }

    /// Compares each outcome with the tables of the sandbox.
    #[track_caller]
    fn check(&self) {
        let rows = self.rows();
        for row in &rows {
            let gone = self.workspace.world(|world| self.is_gone(world, row));
            let right = match row.outcome.as_str() {
                "succeeded" => gone,
                "already_done" => gone && self.is_gone(&self.workspace.pristine, row),
                "failed" => !gone,
                _ => false,
            };
            assert!(right, "{:?} both {}: {row:?}, gone: {gone}", self.operation, self.both);
        }
        Evidence::of(&self.workspace, "job", self.operation, &self.asked, &[]).check();
        assert_eq!(tally(&rows).values().sum::<usize>(), self.asked.len());
    }

    fn is_gone(&self, world: &World, row: &ResultRow) -> bool {
        let (from, to) = (row.from.as_deref().unwrap_or_default(), row.account.as_str());
        match self.operation {
            Command::AccountDelete => !world.account_exists(to),
            _ => !(world.is_friend(from, to) || self.both && world.is_friend(to, from)),
        }
    }
}

#[track_caller]
fn every_outcome_agrees_with_the_tables(operation: Command, both: bool, faults: &[&str]) {
    let played = Played::new(operation, both, 600, faults);
    let output = played.workspace.run(&played.job);
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    played.check();
    let faults = played.workspace.report().faults;
    assert!(faults.values().sum::<u64>() > 40 && played.lookups() > 0, "{faults:?}, {} lookups", played.lookups());
}

#[test]
fn partial_effects_on_accounts_are_looked_up() {
    let faults = ["account_delete:partial=30006:0.1", "account_delete:missing:0.05", "account_delete:item=30006:0.1"];
    every_outcome_agrees_with_the_tables(Command::AccountDelete, false, &faults);
}

#[test]
fn partial_effects_on_friends_are_looked_up() {
    let faults = ["friend_delete:partial=31705:0.1", "friend_delete:missing:0.05", "friend_delete:item=30006:0.1"];
    every_outcome_agrees_with_the_tables(Command::FriendDelete, false, &faults);
}

#[test]
fn after_partial_effects_on_both_sides_the_friends_own_side_is_deleted_too() {
    let faults = ["friend_delete:partial=31706:0.1", "friend_delete:missing:0.05", "friend_delete:reset-after:0.02"];
    every_outcome_agrees_with_the_tables(Command::FriendDelete, true, &faults);
}

#[test]
fn lookups_with_faults_of_their_own_claim_nothing_wrong() {
    let faults = [
        "friend_delete:partial=31706:0.1",
        "friend_check:missing:0.2",
        "friend_check:shuffle:0.3",
        "friend_check:foreign:0.3",
        "friend_check:item=30006:0.1",
        "friend_check:code=60007:0.1",
        "friend_check:http=502:0.1",
    ];
    let played = Played::new(Command::FriendDelete, true, 300, &faults);
    let output = played.workspace.run(&played.job);
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    for row in played.rows().iter().filter(|row| row.outcome != "in_doubt") {
        let gone = played.workspace.world(|world| played.is_gone(world, row));
        assert_eq!(gone, row.outcome != "failed", "{row:?}");
    }
}

#[test]
fn if_the_lookups_fail_nothing_is_claimed() {
    let faults = ["account_delete:partial=30006:0.3", "account_check:code=60010:1"];
    let played = Played::new(Command::AccountDelete, false, 200, &faults);
    played.workspace.run(&played.job).expect(3);
    let rows = played.rows();
    let in_doubt: Vec<&ResultRow> = rows.iter().filter(|row| row.outcome == "in_doubt").collect();
    assert!(in_doubt.len() > 20, "{:?}", tally(&rows));
    for row in in_doubt {
        assert!(row.reason.contains("the lookup failed: ") && row.code == Some(70107), "{row:?}");
    }
}

#[test]
fn a_run_killed_during_a_lookup_looks_up_again_and_sends_nothing_twice() {
    let faults = ["friend_check:silence:1"];
    let played = Played::new(Command::FriendDelete, true, 300, &faults);
    let mut running = played.workspace.start(&["run", &played.job, "--execute", "--yes"], b"");
    let begun = Instant::now();
    while played.lookups() == 0 && running.is_alive() {
        assert!(begun.elapsed() < PATIENCE, "no lookup");
        played.workspace.nap();
    }
    let _killed = running.kill();
    played.workspace.faults(&[]);
    let changes = |played: &Played| played.workspace.report().commands[&Command::FriendDelete].items_received;
    assert!(changes(&played) > 0);
    let output = played.workspace.run(&played.job);
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    for row in played.rows() {
        let gone = played.workspace.world(|world| played.is_gone(world, &row));
        assert!(gone && matches!(row.outcome.as_str(), "succeeded" | "already_done"), "{row:?}");
    }
    let done_before = played.rows().iter().filter(|row| row.outcome == "already_done").count();
    assert!(done_before > 0, "a lookup in flight at a kill does not hide that nothing was done");
}
