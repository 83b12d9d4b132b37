//! `imbulk init`: the jobs that it writes run unchanged, and nothing is written over.

use imbulk::domain::operation::{self, ProtectedList};
use imbulk::settings::{Env, load_job};
use imbulk_testkit::{ProgramOutput, Workspace};

use crate::exports::exports;
use crate::schema::violations;

fn init(workspace: &Workspace, args: &[&str]) -> ProgramOutput {
    workspace.imbulk(&[&["init"], args].concat())
}

#[test]
fn jobs_for_realistic_exports_run_unchanged_in_the_sandbox() {
    let exports = exports();
    assert!(exports.len() >= 20, "only {} exports", exports.len());
    for export in exports {
        let workspace = Workspace::new();
        workspace.write(export.file, &export.bytes);
        let made = init(&workspace, &["job", "--operation", export.operation, "--from", export.file]).expect(0);
        assert_eq!(made.stderr, "", "{}: {made:#?}", export.file);
        let text = std::fs::read_to_string(workspace.path("job.toml")).expect("it was written");
        for line in export.lines {
            assert!(text.lines().any(|own| own.starts_with(line)), "{}: no `{line}` in\n{text}", export.file);
        }
        load_job(&workspace.path("job.toml"), &Env::default())
            .unwrap_or_else(|error| panic!("{}: {error}", export.file));
        assert_eq!(violations(&text), [""; 0], "{}: the schema refuses it", export.file);
        let plan = workspace.imbulk(&["plan", "job.toml"]);
        assert_eq!(plan.code, 0, "{}: {plan:#?}", export.file);
        let run = workspace.imbulk(&["run", "job.toml", "--execute", "--sandbox"]);
        assert!([0, 3].contains(&run.code), "{}: {run:#?}", export.file);
        assert!(!run.stdout.contains("pending"), "{}: {run:#?}", export.file);
    }
}

#[test]
fn a_template_without_a_file_is_a_job_with_all_that_the_operation_needs() {
    for operation in operation::ALL {
        let workspace = Workspace::new();
        init(&workspace, &["job", "--operation", operation.name])
            .expect(0)
            .says("wrote  job.toml")
            .says("imbulk plan job.toml");
        load_job(&workspace.path("job.toml"), &Env::default()).expect("a job file that loads");
        let needs_list = operation.protected_list == ProtectedList::Required;
        assert_eq!(workspace.path("job.protected.txt").exists(), needs_list, "{}", operation.name);
        for file in ["imbulk.env.example", "imbulk-job.schema.json"] {
            assert!(workspace.path(file).exists(), "{file}");
        }
        workspace.imbulk(&["plan", "job.toml"]).expect(2).says("rows.csv: no such file");
    }
}

#[test]
fn a_column_that_could_be_several_is_left_to_the_user() {
    let workspace = Workspace::new();
    workspace.write("rows.csv", "uid,user_id,note\n1,u1,x\n2,u2,y\n");
    let made = init(&workspace, &["job.toml", "--operation", "account_delete", "--from", "rows.csv"]).expect(0);
    let made = made.says("note: job.toml: which column is UserID, `uid` or `user_id`?");
    assert!(made.stdout.contains("wrote  job.toml\n"), "{made:#?}");
    workspace.imbulk(&["plan", "job.toml"]).expect(2).says("has no column `UserID`");
    let text = std::fs::read_to_string(workspace.path("job.toml")).expect("it was written");
    workspace.write("job.toml", text.replace("# UserID = \"user_id\"", "UserID = \"user_id\""));
    workspace.imbulk(&["plan", "job.toml"]).expect(0);
}

#[test]
fn no_file_is_written_over() {
    let workspace = Workspace::new();
    workspace.write("rows.csv", "UserID\nu1\n");
    workspace.write("job.toml", "mine");
    let args = ["job", "--operation", "account_delete", "--from", "rows.csv"];
    init(&workspace, &args).expect(2).says("job.toml exists").says("hint: ");
    assert!(!workspace.path("job.protected.txt").exists(), "nothing is written beside a job that is not");
    std::fs::remove_file(workspace.path("job.toml")).expect("it is there");
    let files = ["job.protected.txt", "imbulk.env.example", "imbulk-job.schema.json"];
    files.iter().for_each(|file| workspace.write(file, "mine"));
    let made = init(&workspace, &args).expect(0);
    for file in files {
        assert_eq!(std::fs::read_to_string(workspace.path(file)).expect("it is there"), "mine");
        assert!(made.stdout.contains(&format!("kept   {file}\n")), "{made:#?}");
    }
}

#[test]
fn what_makes_no_job_is_an_error_and_writes_nothing() {
    for (args, file, said) in [
        (&["job", "--operation", "account_remove", "--from", "rows.csv"], "UserID\nu1\n", "account_delete"),
        (&["job", "--operation", "account_delete", "--from", "none.csv"], "", "none.csv: no such file"),
        (&["a/b", "--operation", "account_delete", "--from", "rows.csv"], "UserID\nu1\n", "`a/b` is not a name"),
        (&["job", "--operation", "account_delete", "--from", "-"], "", "standard input cannot be read again"),
        (
            &["job", "--operation", "account_delete", "--from", "rows.csv"],
            "mail,city\na@b.c,Rio\n",
            "it has `mail`, `city`",
        ),
        (&["job", "--operation", "account_delete", "--from", "rows.csv"], "user_1\nuser_2\n", "without a header"),
        (&["job", "--operation", "account_delete", "--from", "rows.csv"], "user_id,To_Account\na,b\n", "`To_Account`"),
        (&["job", "--operation", "friend_update", "--from", "rows.csv"], "owner,friend\na,b\n", "Tag_SNS_IM_Remark"),
        (&["job", "--operation", "account_delete", "--from", "rows.csv"], "uid\nNULL\n", "every row would be rejected"),
        (&["job", "--operation", "account_delete", "--from", "rows.csv"], "", "rows.csv: has no header line"),
    ] {
        let workspace = Workspace::new();
        workspace.write("rows.csv", file);
        let refused = init(&workspace, args).expect(2);
        assert!(refused.stderr.contains(said), "{said}: {refused:#?}");
        let files = std::fs::read_dir(workspace.folder()).expect("a folder").count();
        assert_eq!(files, 1, "{said}: only the input is there");
    }
}
