//! What the answers to changes leave unknown is settled by lookups.

use std::time::Instant;

use imbulk_sandbox::{Command, World};
use serde_json::{Value, json};

use imbulk_testkit::journal_check::Evidence;
use imbulk_testkit::rows::{InputRow, ItemKind, ResultRow, item_kind, operations, plain, tally};
use imbulk_testkit::{JobFile, PATIENCE, Workspace, WorkspaceSetup};

/// The command that looks up the items of an operation.
fn lookup_of(operation: Command) -> Command {
    match operation {
        Command::AccountDelete => Command::AccountCheck,
        Command::AccountImport => Command::PortraitGet,
        Command::FriendDeleteAll => Command::FriendGet,
        Command::FriendUpdate | Command::FriendImport => Command::FriendGetList,
        _ => Command::FriendCheck,
    }
}

/// The friends of the list of an account in [`lists`].
fn friends_of(account: &str) -> impl Iterator<Item = String> {
    let account = account.to_owned();
    (0..3).map(move |n| format!("{account}_f{n}"))
}

/// Accounts with three friends each, all of them on both sides.
fn lists() -> World {
    let accounts: Vec<String> = plain(Command::FriendDeleteAll, ROWS).into_iter().map(|row| row.account).collect();
    let pairs: Vec<(&str, String)> =
        accounts.iter().flat_map(|from| friends_of(from).map(|to| (&**from, to))).collect();
    let both = pairs.iter().flat_map(|(from, to)| [(*from, &**to), (&**to, *from)]);
    World::seeded(pairs.iter().flat_map(|(from, to)| [*from, to]), both)
}

const ROWS: usize = 600;

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
        let job = JobFile::new("job", operation).rows(&asked).with("stop", "failed_share", 1.0);
        // Writing the fields again would settle most doubts of these operations.
        let sets_fields = matches!(operation, Command::AccountImport | Command::FriendImport | Command::FriendUpdate);
        let job = job.with("retry", "max_attempts", if sets_fields { 1 } else { 3 });
        // All accounts exist for pairs, since the pairs of a missing account fail.
        let world = match operation {
            Command::AccountDelete => || World::open_with_missing(7, 0.05, 0.0),
            Command::AccountImport => || World::open_with_missing(7, 0.9, 0.0),
            Command::FriendDeleteAll => lists,
            Command::FriendImport => || World::open_with_missing(7, 0.0, 0.9),
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
        let clears_both = self.operation == Command::FriendDeleteAll && self.both;
        for row in &rows {
            let is_there = self.workspace.world(|world| self.is_there(world, row));
            let right = match row.outcome.as_str() {
                "succeeded" => is_there,
                "already_done" => is_there && self.is_there(&self.workspace.pristine, row),
                "failed" => !is_there,
                // No lookup shows the lists of friends whom no list names any more.
                "in_doubt" => clears_both && self.workspace.world(|world| is_own_list_empty(world, &row.account)),
                _ => false,
            };
            assert!(right, "{:?} both {}: {row:?}, is there: {is_there}", self.operation, self.both);
        }
        // The journal does not show which accounts an answer named in FailAccounts.
        if self.operation != Command::AccountImport {
            Evidence::of(&self.workspace, "job", self.operation, &self.asked, &[]).check();
        }
        assert_eq!(tally(&rows).values().sum::<usize>(), self.asked.len());
    }

    /// Whether the requested state of a row is there.
    fn is_there(&self, world: &World, row: &ResultRow) -> bool {
        let (from, to) = (row.from.as_deref().unwrap_or_default(), row.account.as_str());
        let remark = format!("remark {}", row.line - 2);
        let friend_has = |fields: &[(&str, &str)]| {
            let shown = world.tags(from, to).unwrap_or_default();
            fields.iter().all(|(tag, value)| shown.get(*tag).is_some_and(|found| found == value))
        };
        match self.operation {
            Command::AccountDelete => !world.account_exists(to),
            Command::AccountImport => {
                world.profile(to).is_some_and(|profile| profile["Tag_Profile_IM_Nick"] == remark.as_str())
            }
            Command::FriendDeleteAll => {
                let others_have_it = friends_of(to).any(|friend| world.is_friend(&friend, to));
                is_own_list_empty(world, to) && !(self.both && others_have_it)
            }
            Command::FriendUpdate => friend_has(&[("Tag_SNS_IM_Remark", &remark)]),
            Command::FriendImport => {
                friend_has(&[("Tag_SNS_IM_Remark", &remark), ("Tag_SNS_IM_AddSource", "AddSource_Type_Test")])
            }
            _ => !(world.is_friend(from, to) || self.both && world.is_friend(to, from)),
        }
    }
}

fn is_own_list_empty(world: &World, account: &str) -> bool {
    !friends_of(account).any(|friend| world.is_friend(account, &friend))
}

#[track_caller]
fn every_outcome_agrees_with_the_tables(operation: Command, both: bool, faults: &[&str]) {
    let played = Played::new(operation, both, ROWS, faults);
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
fn partial_effects_on_lists_are_looked_up() {
    let faults = ["friend_delete_all:partial=30006:0.5", "friend_delete_all:reset-after:0.1"];
    for both in [false, true] {
        every_outcome_agrees_with_the_tables(Command::FriendDeleteAll, both, &faults);
    }
}

#[test]
fn partial_effects_on_fields_of_friends_are_looked_up() {
    for (operation, name) in [(Command::FriendUpdate, "friend_update"), (Command::FriendImport, "friend_import")] {
        let faults = ["partial=30006:0.1", "missing:0.05", "item=30006:0.1", "reset-after:0.02", "reset-before:0.02"];
        let faults = faults.map(|fault| format!("{name}:{fault}"));
        every_outcome_agrees_with_the_tables(operation, false, &faults.each_ref().map(String::as_str));
    }
}

#[test]
fn imported_accounts_without_an_answer_are_looked_up() {
    let faults = ["multiaccount_import:reset-after:#2,4", "multiaccount_import:http=502:#5"];
    let faults = [&faults[..], &["multiaccount_import:partial=70500:0.1"]].concat();
    every_outcome_agrees_with_the_tables(Command::AccountImport, false, &faults);
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
        let gone = played.workspace.world(|world| played.is_there(world, row));
        assert_eq!(gone, row.outcome != "failed", "{row:?}");
    }
}

#[test]
fn if_every_row_is_in_doubt_the_lookups_are_those_that_the_plan_announces() {
    for (operation, both) in operations().map(|operation| (operation, false)).chain([(Command::FriendDelete, true)]) {
        let mut rows = plain(operation, 40);
        // A request of 250 items, which friend_get_list needs three calls for.
        if item_kind(operation) == ItemKind::Friend {
            let remark = |row: InputRow| row.field("Tag_SNS_IM_Remark", json!("x"));
            let source = |row: InputRow| row.field("AddSource", json!("AddSource_Type_Other"));
            rows.extend((0..250).map(|n| match operation {
                Command::FriendUpdate => remark(InputRow::pair("large", &format!("friend_{n}"))),
                Command::FriendImport => source(InputRow::pair("large", &format!("friend_{n}"))),
                _ => InputRow::pair("large", &format!("friend_{n}")),
            }));
        }
        let job = JobFile::new("job", operation).rows(&rows).with("retry", "max_attempts", 1);
        let job = job.with("stop", "failed_share", 1.0);
        let setup = WorkspaceSetup { world: World::open, ..WorkspaceSetup::default() };
        let (workspace, job) = if both { job.both() } else { job }.on(setup);
        let plan = workspace.imbulk(&["plan", &job, "--json"]).expect(0).stdout;
        let plan: Value = serde_json::from_str(&plan).expect("JSON");
        workspace.faults(&[&format!("{}:reset-after:1", operation.name())]);
        workspace.run(&job);
        let report = workspace.report();
        let (changes, lookups) = (report.commands[&operation].calls, report.commands[&lookup_of(operation)].calls);
        assert_eq!(plan[0]["requests"], changes, "{operation:?} both {both}");
        assert_eq!(plan[0]["lookups"]["calls_if_all_in_doubt"], lookups, "{operation:?} both {both}");
        assert!(plan[0]["lookups"]["calls_at_most"].as_u64() >= Some(lookups), "{plan}");
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
    // The first ones may concern only pairs of which one side was there.
    while played.lookups() < 15 && running.is_alive() {
        assert!(begun.elapsed() < PATIENCE, "{} lookups", played.lookups());
        played.workspace.nap();
    }
    let _killed = running.kill();
    played.workspace.faults(&[]);
    let changes = |played: &Played| played.workspace.report().commands[&Command::FriendDelete].items_received;
    assert!(changes(&played) > 0);
    let output = played.workspace.run(&played.job);
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    for row in played.rows() {
        let gone = played.workspace.world(|world| played.is_there(world, &row));
        assert!(gone && matches!(row.outcome.as_str(), "succeeded" | "already_done"), "{row:?}");
    }
    let done_before = played.rows().iter().filter(|row| row.outcome == "already_done").count();
    assert!(done_before > 0, "a lookup in flight at a kill does not hide that nothing was done");
}
