//! An outcome claims only what the responses prove. Responses are scripted, and the sandbox makes partial effects.

use std::time::Instant;

use imbulk_sandbox::{Command, World};
use serde_json::{Value, json};

use imbulk_testkit::rows::{InputRow, ResultRow, plain, tally};
use imbulk_testkit::scripted_server::{ScriptedResponse, ScriptedServer};
use imbulk_testkit::{JobFile, PATIENCE, Workspace, WorkspaceSetup};

fn say(body: &Value) -> ScriptedResponse {
    ScriptedResponse::Body(body.to_string())
}

/// A response with these items. `code` is the code of the request.
fn items(code: i64, items: &[(&str, i64)]) -> ScriptedResponse {
    let item = |(id, code): &(&str, i64)| json!({"To_Account": id, "ResultCode": code, "ResultInfo": "because"});
    let items: Vec<Value> = items.iter().map(item).collect();
    let status = if code == 0 { "OK" } else { "FAIL" };
    say(&json!({"ActionStatus": status, "ErrorCode": code, "ErrorInfo": "", "ResultItem": items}))
}

/// A refusal of the whole request.
fn no(code: i64) -> ScriptedResponse {
    say(&json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": ""}))
}

struct Played {
    workspace: Workspace,
    server: ScriptedServer,
    job: String,
}

impl Played {
    /// A job with these pairs, or accounts for operations without pairs, and its server.
    fn new(operation: Command, both: bool, accounts: &[&str], answers: Vec<ScriptedResponse>) -> Self {
        Self::with(JobFile::new("job", operation), operation, both, accounts, answers)
    }

    fn with(job: JobFile, operation: Command, both: bool, accounts: &[&str], answers: Vec<ScriptedResponse>) -> Self {
        let server = ScriptedServer::answering(answers);
        let asked: Vec<InputRow> = accounts.iter().map(|account| asked(operation, account)).collect();
        // With one call in flight the responses reach the requests in the order of the script.
        let job = job.rows(&asked).with("limits", "max_in_flight", 1);
        let job = job.with("app", "endpoint", server.endpoint()).with("stop", "failed_share", 1.0);
        let job = if both { job.both() } else { job };
        let (workspace, job) = job.in_a_workspace();
        Self { workspace, server, job }
    }

    /// Finishes the run and shows every row as `outcome code`.
    #[track_caller]
    fn run(&self, exit: i32) -> Vec<String> {
        self.workspace.run(&self.job).expect(exit);
        self.rows().iter().map(short).collect()
    }

    fn rows(&self) -> Vec<ResultRow> {
        self.workspace.results("job")
    }
}

fn asked(operation: Command, account: &str) -> InputRow {
    match operation {
        Command::AccountDelete | Command::FriendDeleteAll => InputRow::account(account),
        Command::FriendDelete => InputRow::pair("owner", account),
        Command::AccountImport => InputRow::account(account).field("Nick", json!("r")),
        Command::FriendUpdate => InputRow::pair("owner", account).field("Tag_SNS_IM_Remark", json!("r")),
        Command::FriendImport => InputRow::pair("owner", account).field("AddSource", json!("AddSource_Type_Test")),
        Command::AccountCheck
        | Command::FriendCheck
        | Command::FriendGet
        | Command::FriendGetList
        | Command::PortraitGet
        | Command::QueryOnlineStatus => {
            panic!("no job sends {operation:?}")
        }
    }
}

fn short(row: &ResultRow) -> String {
    let code = row.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
    format!("{} {code}", row.outcome)
}

/// The responses to a job, and the expected outcomes of its rows.
struct Scene {
    operation: Command,
    both: bool,
    accounts: &'static [&'static str],
    answers: Vec<ScriptedResponse>,
    exit: i32,
    rows: &'static [&'static str],
}

const ONE: &[&str] = &["ann"];
const TWO: &[&str] = &["ann", "bea"];

/// Answers of account_import name the accounts that failed, without codes.
fn import_scenes() -> Vec<Scene> {
    let scene = |accounts, answers, exit, rows| Scene {
        operation: Command::AccountImport,
        both: false,
        accounts,
        answers,
        exit,
        rows,
    };
    let failed = |ids: &[&str]| say(&json!({"ActionStatus": "OK", "ErrorCode": 0, "FailAccounts": ids}));
    vec![
        scene(TWO, vec![failed(&[])], 0, &["succeeded -"; 2]),
        scene(TWO, vec![failed(&["bea"])], 3, &["succeeded -", "failed -"]),
        scene(TWO, vec![failed(&["BEA"]), failed(&["bea"])], 3, &["succeeded -", "failed -"]),
        scene(ONE, vec![no(70398)], 4, &["pending -"]),
        scene(TWO, vec![no(70399), no(70399), failed(&[])], 3, &["failed 70399", "succeeded -"]),
    ]
}

fn scenes() -> Vec<Scene> {
    use Command::{AccountDelete, FriendDelete, FriendDeleteAll, FriendImport, FriendUpdate};
    const THREE: &[&str] = &["ann", "bea", "cid"];
    let scene =
        |operation, both, accounts, answers, exit, rows| Scene { operation, both, accounts, answers, exit, rows };
    let gone = || items(0, &[("ann", 31704)]);
    let friend_exists = || {
        let item = json!({"To_Account": "ann", "ResultCode": 30001, "ResultInfo": "Err_SNS_FriendImport_Friend_Exist"});
        say(&json!({"ActionStatus": "OK", "ErrorCode": 0, "ResultItem": [item], "Fail_Account": ["ann"]}))
    };
    let no_account = || items(0, &[("ann", 70107)]);
    vec![
        scene(FriendDelete, false, ONE, vec![gone()], 0, &["already_done 31704"]),
        scene(FriendDelete, true, ONE, vec![gone()], 3, &["in_doubt 31704"]),
        scene(FriendDelete, true, ONE, vec![no(31706), gone()], 3, &["in_doubt 31704"]),
        scene(FriendDelete, false, ONE, vec![items(0, &[("ann", 31705)]), gone()], 3, &["in_doubt 31704"]),
        scene(FriendDelete, false, ONE, vec![no(30008), gone()], 3, &["in_doubt 31704"]),
        scene(FriendDelete, false, ONE, vec![no(30007), gone()], 0, &["succeeded 31704"]),
        scene(FriendDelete, false, ONE, vec![no(60007), gone()], 0, &["already_done 31704"]),
        scene(AccountDelete, false, ONE, vec![no(70500), no_account()], 0, &["succeeded 70500"]),
        scene(AccountDelete, false, ONE, vec![no(40006), no_account()], 0, &["succeeded 40006"]),
        scene(AccountDelete, false, ONE, vec![no(30006), no_account()], 3, &["in_doubt 70107"]),
        scene(AccountDelete, false, ONE, vec![no(60004), no(60004), items(0, &[("ann", 0)])], 0, &["succeeded -"]),
        scene(AccountDelete, false, TWO, vec![no(60015)], 3, &["failed 60015"; 2]),
        scene(AccountDelete, false, TWO, vec![items(70500, &[("ann", 0), ("bea", 0)])], 3, &["in_doubt 70500"; 2]),
        scene(FriendDeleteAll, false, ONE, vec![no(30003)], 0, &["already_done 30003"]),
        scene(FriendDeleteAll, false, ONE, vec![no(30006), no(30003), no(30003)], 0, &["succeeded 30006"]),
        scene(FriendDeleteAll, true, ONE, vec![no(30006), no(30003), no(30003)], 3, &["in_doubt 30003"]),
        scene(FriendImport, false, ONE, vec![friend_exists()], 3, &["in_doubt 30001"]),
        scene(FriendImport, false, ONE, vec![no(30007), friend_exists()], 3, &["in_doubt 30001"]),
        scene(FriendImport, false, ONE, vec![items(0, &[("ann", 30015)])], 3, &["in_doubt 30015"]),
        scene(FriendImport, false, ONE, vec![items(0, &[("ann", 30001)])], 3, &["failed 30001"]),
        scene(FriendImport, false, TWO, vec![no(30010)], 3, &["failed 30010"; 2]),
        scene(FriendImport, false, ONE, vec![no(30006), items(0, &[("ann", 0)])], 0, &["succeeded -"]),
        scene(FriendUpdate, false, TWO, vec![no(70032)], 3, &["failed 70032"; 2]),
        scene(FriendUpdate, false, TWO, vec![ScriptedResponse::Status(413)], 3, &["failed -"; 2]),
        scene(
            FriendUpdate,
            false,
            THREE,
            vec![items(0, &[("ann", 0), ("bea", 30004), ("cid", 0)])],
            3,
            &["succeeded -", "failed 30004", "succeeded -"],
        ),
        scene(FriendUpdate, false, TWO, vec![items(0, &[("ann", 30004), ("bea", 30004)])], 4, &["pending -"; 2]),
        scene(
            FriendDelete,
            false,
            TWO,
            vec![say(&json!({
                "ErrorCode": 0, "ResultItem": [{"To_Account": "ann", "ResultCode": 0}], "Invalid_Account": ["bea"],
            }))],
            3,
            &["succeeded -", "failed -"],
        ),
    ]
}

#[test]
fn every_scripted_answer_makes_the_outcome_that_it_proves() {
    for scene in scenes().into_iter().chain(import_scenes()) {
        let Scene { operation, both, accounts, answers, exit, rows } = scene;
        let case = format!("{operation:?} {both} {answers:?}");
        let job = JobFile::new("job", operation).with("retry", "max_attempts", 3);
        let played = Played::with(job, operation, both, accounts, answers);
        assert_eq!(played.run(exit), rows, "{case}");
        for row in played.rows() {
            let plain = matches!(row.outcome.as_str(), "succeeded" | "pending") && row.code.is_none();
            let says_nothing = row.reason.is_empty() || row.reason.starts_with("before: ");
            assert_eq!(says_nothing, plain, "{case}: {row:?}");
        }
    }
}

#[test]
fn codes_that_an_item_met_are_shown_for_a_success_too() {
    let answers = vec![no(30006), items(0, &[("ann", 31705)]), items(0, &[("ann", 0)])];
    let job = JobFile::new("job", Command::FriendDelete).with("retry", "max_attempts", 5);
    let played = Played::with(job, Command::FriendDelete, false, &["ann"], answers);
    assert_eq!(played.run(0), ["succeeded -"]);
    assert_eq!(played.rows()[0].reason, "before: 31705, 30006");
}

#[test]
fn a_halt_names_the_code_that_was_received() {
    let played = Played::new(Command::AccountDelete, false, &["ann"], vec![no(70052)]);
    let output = played.workspace.run(&played.job).expect(4);
    assert!(output.stdout.contains("code 70052: ") && !output.stdout.contains("70001"), "{output:?}");
}

#[test]
fn codes_that_an_item_met_survive_a_kill_and_are_read_afterwards() {
    let answers = vec![no(31706), ScriptedResponse::Silence];
    let played = Played::new(Command::FriendDelete, false, &["ann"], answers);
    let mut running = played.workspace.start(&["run", &played.job, "--execute", "--yes"], b"");
    let begun = Instant::now();
    while played.server.calls() < 2 && running.is_alive() {
        assert!(begun.elapsed() < PATIENCE, "only {} calls", played.server.calls());
        played.workspace.nap();
    }
    let _killed = running.kill();
    played.server.go_on_with(vec![items(0, &[("ann", 31704)])]);
    assert_eq!(played.run(3), ["in_doubt 31704"]);
    assert!(played.rows()[0].reason.contains("before: 31706;"), "{:?}", played.rows());
}

#[test]
fn codes_that_an_item_met_survive_a_retry_which_counts_them() {
    let job = JobFile::new("job", Command::FriendDelete).with("retry", "max_attempts", 1);
    let first = items(0, &[("ann", 31706), ("bea", 30002), ("cid", 31706)]);
    let played = Played::with(job, Command::FriendDelete, false, &["ann", "bea", "cid"], vec![first]);
    assert_eq!(played.run(3), ["failed 31706", "failed 30002", "failed 31706"]);
    let retry = played.workspace.imbulk(&["retry", "job"]).expect(0);
    for line in ["3 rows are pending again", "failed, code 30002: 1", "failed, code 31706: 2"] {
        assert!(retry.stdout.contains(line), "{retry:?}");
    }
    let gone = items(0, &[("ann", 31704), ("bea", 31704), ("cid", 31704)]);
    played.server.go_on_with(vec![gone.clone()]);
    assert_eq!(played.run(3), ["in_doubt 31704", "already_done 31704", "in_doubt 31704"]);
    assert!(played.rows()[0].reason.contains("before: 31706;"), "{:?}", played.rows());
    let retry = played.workspace.imbulk(&["retry", "job", "--outcome", "in_doubt", "--code", "31704"]).expect(0);
    assert!(retry.stdout.contains("in_doubt, code 31704: 2"), "{retry:?}");
    assert_eq!(played.run(3), ["in_doubt 31704", "already_done 31704", "in_doubt 31704"], "it proves no more now");
}

/// Partial effects on a tenth of the items, and every other misleading response.
const PARTS: &[&str] = &[
    "any:fail-zero:0.02",
    "any:shape-2025:0.3",
    "account_delete:partial=40006:0.1",
    "account_delete:partial=70500:0.05",
    "account_delete:partial=30006:0.05",
    "friend_delete:partial=31705:0.1",
    "friend_delete:partial=31706:0.1",
    "friend_delete:partial=30006:0.05",
    "friend_delete_all:partial=30006:0.1",
    "friend_update:partial=30006:0.1",
    "friend_import:partial=30006:0.1",
    "multiaccount_import:partial=70500:0.1",
    "any:only-failed:0.02",
    "any:only-invalid:0.02",
    "any:twice=70500:0.02",
    "any:blamed:0.02",
    "any:missing:0.02",
    "any:ok-with=30006:0.02",
    "any:fail-with=70500:0.03",
];

/// Whether the sandbox's tables prove that this run has done the row, or that it was done before.
fn is_borne_out(world: &World, before: &World, operation: Command, both: bool, row: &ResultRow) -> bool {
    let (from, to) = (row.from.as_deref().unwrap_or_default(), row.account.as_str());
    let looked_up = row.reason.contains("a lookup shows");
    let remark = format!("remark {}", row.line - 2);
    let says_data_left =
        row.code.is_some_and(|code| matches!(code, 40006 | 70500)) || row.reason.contains("data of it may remain");
    match operation {
        // No job looks up accounts.
        Command::AccountCheck
        | Command::FriendCheck
        | Command::FriendGet
        | Command::FriendGetList
        | Command::PortraitGet
        | Command::QueryOnlineStatus => false,
        Command::AccountDelete => {
            let honest = !world.account_data_remains(to) || says_data_left;
            let was_gone = row.outcome != "already_done" || !before.account_exists(to);
            !world.account_exists(to) && honest && was_gone
        }
        Command::AccountImport => {
            let has_nick = || world.profile(to).is_some_and(|profile| profile["Tag_Profile_IM_Nick"] == remark);
            has_nick() && (looked_up || !world.account_data_remains(to))
        }
        Command::FriendDelete => {
            let other_side = both && world.is_friend(to, from);
            let was_gone = row.outcome != "already_done" || !before.is_friend(from, to);
            !world.is_friend(from, to) && !other_side && (looked_up || !world.friend_data_remains(from, to)) && was_gone
        }
        Command::FriendDeleteAll => {
            let cleared = world.list_counters(to).written > 0 && !world.list_remains(to);
            let is_empty = !world.is_friend(to, &friend_of(to));
            is_empty && (cleared || looked_up && !both || !before.account_exists(to))
        }
        Command::FriendUpdate | Command::FriendImport => {
            let has_remark = || world.tags(from, to).is_some_and(|tags| tags["Tag_SNS_IM_Remark"] == remark);
            has_remark() && (looked_up || !world.friend_data_remains(from, to))
        }
    }
}

/// The friend of an account in [`lists`].
fn friend_of(account: &str) -> String {
    format!("{account}_f")
}

/// Accounts with one friend each.
fn lists() -> World {
    let accounts: Vec<String> = plain(Command::FriendDeleteAll, 600).into_iter().map(|row| row.account).collect();
    let pairs: Vec<(&str, String)> = accounts.iter().map(|from| (&**from, friend_of(from))).collect();
    let friends = pairs.iter().map(|(from, to)| (*from, &**to));
    World::seeded(pairs.iter().flat_map(|(from, to)| [*from, to]), friends)
}

#[track_caller]
fn no_row_claims_what_is_not_so(operation: Command, both: bool) {
    let asked = plain(operation, 600);
    let job =
        JobFile::new("job", operation).rows(&asked).with("retry", "max_attempts", 20).with("stop", "failed_share", 1.0);
    let job = if both { job.both() } else { job };
    let (workspace, job) = match operation {
        Command::FriendDeleteAll => job.on(WorkspaceSetup { world: lists, ..WorkspaceSetup::default() }),
        _ => job.in_a_workspace(),
    };
    workspace.faults(PARTS);
    let output = workspace.run(&job);
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    let rows = workspace.results("job");
    let claims: Vec<&ResultRow> =
        rows.iter().filter(|row| matches!(row.outcome.as_str(), "succeeded" | "already_done")).collect();
    let wrong: Vec<&&ResultRow> = workspace.world(|world| {
        let borne_out = |row: &&&ResultRow| is_borne_out(world, &workspace.pristine, operation, both, row);
        claims.iter().filter(|row| !borne_out(row)).collect()
    });
    assert!(wrong.is_empty(), "{} claims are not so, the first: {:?}", wrong.len(), wrong[0]);
    let played = workspace.report().faults;
    let partial: u64 = played.iter().filter(|(kind, _)| kind.starts_with("partial")).map(|(_, times)| times).sum();
    assert!(partial > 20 && claims.len() > 100, "{partial} partial effects, {} claims: {played:?}", claims.len());
    assert_eq!(tally(&rows).values().sum::<usize>(), asked.len());
}

#[test]
fn no_account_is_called_deleted_that_the_sandbox_did_not_delete() {
    no_row_claims_what_is_not_so(Command::AccountDelete, false);
}

#[test]
fn no_friend_is_called_deleted_that_the_sandbox_did_not_delete() {
    no_row_claims_what_is_not_so(Command::FriendDelete, false);
    no_row_claims_what_is_not_so(Command::FriendDelete, true);
}

#[test]
fn no_list_is_called_empty_that_the_sandbox_did_not_clear() {
    no_row_claims_what_is_not_so(Command::FriendDeleteAll, false);
    no_row_claims_what_is_not_so(Command::FriendDeleteAll, true);
}

#[test]
fn no_friend_is_called_imported_that_the_sandbox_did_not_import() {
    no_row_claims_what_is_not_so(Command::FriendImport, false);
}

#[test]
fn no_account_is_called_imported_that_the_sandbox_did_not_import() {
    no_row_claims_what_is_not_so(Command::AccountImport, false);
}

#[test]
fn no_friend_is_called_updated_that_the_sandbox_did_not_update() {
    no_row_claims_what_is_not_so(Command::FriendUpdate, false);
}
