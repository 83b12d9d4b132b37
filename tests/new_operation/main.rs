//! Adding an operation takes new files and their lines in two lists, and nothing else
//! (docs/guides/add-an-operation.md).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use imbulk::domain::operation;
use imbulk_sandbox::Command as SandboxCommand;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of cargo's output, in which the dependencies are built already.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder")
}

/// The name of the program that is built: it must not replace the one that other tests run.
const PROGRAM: &str = "imbulk-with-portrait-set";

/// The line of the version in the manifests of the copy.
const COPY_VERSION: &str = "\nversion = \"0.1.0-copy\"";

/// The sources with the new operation, in a folder that stays the same so that cargo can build on what is there.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new_operation");
        for part in ["src", "crates", "benches", "migrations", "jobs"] {
            copy(&root().join(part), &folder.join(part));
        }
        for file in ["Cargo.toml", "Cargo.lock", "README.md"] {
            write(&folder.join(file), &fs::read_to_string(root().join(file)).expect("it is there"));
        }
        Self { folder }
    }

    /// Inserts a text before another, at its first place in a file.
    fn insert(&self, file: &str, before: &str, text: &str) {
        let path = self.folder.join(file);
        let old = fs::read_to_string(&path).expect("it is there");
        let at = old.find(before).unwrap_or_else(|| panic!("{file} has no `{before}`"));
        write(&path, &format!("{}{text}{}", &old[..at], &old[at..]));
    }

    fn add_file(&self, name: &str, path: &str) {
        let text = fs::read_to_string(root().join("tests/new_operation/files").join(name)).expect("it is there");
        write(&self.folder.join(path), &text);
    }

    fn build(&self) {
        self.insert(
            "Cargo.toml",
            "[dependencies]",
            &format!("[[bin]]\nname = {PROGRAM:?}\npath = \"src/main.rs\"\n\n"),
        );
        let manifest = fs::read_to_string(self.folder.join("Cargo.toml")).expect("it is there");
        write(&self.folder.join("Cargo.toml"), &manifest.replace("default-run = \"imbulk\"\n", ""));
        self.renumber();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--locked", "--quiet", "--bin", PROGRAM, "--target-dir"])
            .arg(target())
            .current_dir(&self.folder)
            .output()
            .expect("cargo starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    /// Gives the packages of the copy a version of their own. Cargo names what it builds by package and version, not by
    /// folder, so the copy would replace the crates that the checkout has built.
    fn renumber(&self) {
        let crates = fs::read_dir(self.folder.join("crates")).expect("a folder").map(|found| found.expect("readable"));
        let manifests = crates.map(|found| found.path().join("Cargo.toml"));
        for path in manifests.chain(["Cargo.toml", "benches/Cargo.toml"].map(|file| self.folder.join(file))) {
            let text = fs::read_to_string(&path).expect("it is there");
            write(&path, &text.replacen("\nversion = \"0.1.0\"", COPY_VERSION, 1));
        }
        let lock = self.folder.join("Cargo.lock");
        let text = fs::read_to_string(&lock).expect("it is there");
        let packages = text.split("[[package]]").map(|package| {
            let is_own = package.starts_with("\nname = \"imbulk");
            if is_own { package.replacen("\nversion = \"0.1.0\"", COPY_VERSION, 1) } else { package.to_owned() }
        });
        write(&lock, &packages.collect::<Vec<_>>().join("[[package]]"));
    }

    fn run(&self, args: &[&str]) -> Output {
        let program = target().join("debug").join(PROGRAM);
        let queue = self.folder.join("queue.db");
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env_clear().arg("--queue").arg(queue).args(args);
        command.output().expect("the program starts")
    }
}

/// Writes a file unless it is so already: cargo builds again what has a newer time.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("enough disk space");
    fs::write(path, text).expect("enough disk space");
}

fn copy(from: &Path, to: &Path) {
    for found in fs::read_dir(from).expect("a folder") {
        let path = found.expect("readable").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else if let Ok(text) = fs::read_to_string(&path) {
            write(&target, &text);
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_operation_is_added_by_its_files_and_a_line_in_two_lists() {
    let copy = Copy::new();
    let operations = "src/domain/operation/mod.rs";
    copy.add_file("operation.rs", "src/domain/operation/portrait_set.rs");
    copy.insert(operations, "mod friend_update;", "mod portrait_set;\n");
    copy.insert(operations, "&friend_update::OPERATION", "&portrait_set::OPERATION, ");
    let commands = "crates/imbulk-sandbox/src/commands/mod.rs";
    copy.add_file("command.rs", "crates/imbulk-sandbox/src/commands/portrait_set.rs");
    copy.insert(commands, "mod relation;", "mod portrait_set;\n");
    copy.insert(commands, "FriendUpdate = friend_update,", "PortraitSet = portrait_set, ");
    copy.add_file("portrait-set.toml", "jobs/portrait-set.toml");
    copy.add_file("portraits.csv", "jobs/data/portraits.csv");
    copy.build();
    for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        let _ = fs::remove_file(copy.folder.join(name));
    }
    plan_shows_the_body(&copy);
    run_sends_it_and_results_come_back(&copy);
    foreign_and_wrong_fields_are_refused(&copy);
}

fn plan_shows_the_body(copy: &Copy) {
    let plan = copy.run(&["plan", "--json", "jobs/portrait-set.toml"]);
    let plans: Value = serde_json::from_slice(&plan.stdout).unwrap_or_else(|_| panic!("{}", text(&plan.stderr)));
    let body = serde_json::json!({ "From_Account": "ada", "ProfileItem": [
        { "Tag": "Tag_Profile_Custom_City", "Value": "London" },
        { "Tag": "Tag_Profile_IM_BirthDay", "Value": 18_151_210 },
        { "Tag": "Tag_Profile_IM_Gender", "Value": "Gender_Type_Female" },
        { "Tag": "Tag_Profile_IM_Nick", "Value": "Ada, the first" },
    ]});
    assert!(plans.to_string().contains(&body.to_string()), "{plans:#}");
}

fn run_sends_it_and_results_come_back(copy: &Copy) {
    // The sandbox's own file checks every body, so what succeeds was right.
    let run = copy.run(&["run", "--sandbox", "jobs/portrait-set.toml"]);
    assert_eq!(run.status.code(), Some(3), "the third row is rejected: {}", text(&run.stderr));
    let results = copy.run(&["results", "portraits"]);
    let rows = text(&results.stdout);
    for expected in [
        "source,line,From_Account,Tag_Profile_Custom_City,Tag_Profile_IM_BirthDay,Tag_Profile_IM_Gender,\
         Tag_Profile_IM_Nick,outcome,code,reason,attempts,finished_at",
        "2,ada,London,18151210,Gender_Type_Female,\"Ada, the first\",succeeded,",
        "3,bob,,,Gender_Type_Male,,succeeded,",
        "must be one of Gender_Type_Unknown, Gender_Type_Female, Gender_Type_Male",
    ] {
        assert!(rows.contains(expected), "no {expected} in {rows}");
    }
    write(&copy.folder.join("jobs/data/again.csv"), &rows);
    let job = "name = \"again\"\noperation = \"portrait_set\"\n[input]\npath = \"data/again.csv\"\n";
    write(&copy.folder.join("jobs/again.toml"), job);
    let again = copy.run(&["run", "--sandbox", "jobs/again.toml"]);
    assert_eq!(again.status.code(), Some(3), "{}", text(&again.stderr));
    let again = text(&copy.run(&["results", "again"]).stdout);
    let fields =
        |row: &str| row.split(",succeeded,").next().map(|start| start.split_once(",2,").map(|it| it.1.to_owned()));
    assert_eq!(again.lines().nth(1).map(fields), rows.lines().nth(1).map(fields), "the values come back");
}

fn foreign_and_wrong_fields_are_refused(copy: &Copy) {
    let job = "name = \"foreign\"\noperation = \"portrait_set\"\n[input]\npath = \"data/foreign.csv\"\n";
    write(&copy.folder.join("jobs/foreign.toml"), job);
    for (header, said) in [
        ("From_Account,Tag_Profile_IM_Nick,Tag_SNS_IM_Remark", "`Tag_SNS_IM_Remark`"),
        ("From_Account,Tag_Profile_IM_Nick,To_Account", "`To_Account`"),
        ("From_Account,tag_profile_im_nick", "`Tag_Profile_IM_Nick`"),
    ] {
        write(&copy.folder.join("jobs/data/foreign.csv"), &format!("{header}\nada,x,y\n"));
        let plan = copy.run(&["plan", "jobs/foreign.toml"]);
        let stderr = text(&plan.stderr);
        assert_eq!(plan.status.code(), Some(2), "{header}: {stderr}");
        assert!(stderr.contains("foreign.csv:1: ") && stderr.contains(said), "{header}: {stderr}");
        assert!(stderr.contains("hint: "), "{header}: {stderr}");
    }
    // The other operations refuse the new fields.
    let job = "name = \"other\"\noperation = \"friend_delete_all\"\n[input]\npath = \"data/foreign.csv\"\n";
    write(&copy.folder.join("jobs/other.toml"), job);
    write(&copy.folder.join("jobs/data/foreign.csv"), "From_Account,Tag_Profile_IM_Nick\nada,x\n");
    assert_eq!(copy.run(&["plan", "jobs/other.toml"]).status.code(), Some(2));
}

#[test]
fn every_operation_has_a_job_a_sandbox_command_a_row_in_the_reference_and_a_fuzz_seed() {
    let reference = fs::read_to_string(root().join("docs/reference/operations.md")).expect("it is there");
    for operation in operation::ALL {
        let name = operation.name;
        let job = format!("jobs/{}.toml", name.replace('_', "-"));
        let text = fs::read_to_string(root().join(&job)).unwrap_or_else(|_| panic!("{name} has no {job}"));
        assert!(text.contains(&format!("operation = {name:?}")), "{job} is of another operation");
        let has_path = |command: &SandboxCommand| command.path().trim_start_matches('/') == operation.path;
        assert!(SandboxCommand::ALL.iter().any(has_path), "the sandbox does not have the path of {name}");
        assert!(reference.contains(&format!("| `{name}` | `{}` |", operation.path)), "{name} has no row");
        let seed = root().join("fuzz/seeds/job_file").join(name);
        assert!(seed.is_file(), "{name} has no fuzz seed {}", seed.display());
    }
}
