//! Operations, bound without naming their options.

use imbulk::domain::operation::{BoundOperation, JobOption, Operation, OptionValue, by_name};

/// The operation with the first value of each option.
///
/// # Panics
/// There is no such operation.
pub fn bound(operation: &str) -> BoundOperation {
    bind(by_name(operation).expect("an operation"), |option| option.values[0].name)
}

/// The operation with this value for each of its options.
///
/// # Panics
/// There is no such operation, or an option of it does not have the value.
pub fn bound_with(operation: &str, value: &str) -> BoundOperation {
    bind(by_name(operation).expect("an operation"), |_| value)
}

/// The section `[options]` of a job file with the options of this operation; empty where it has none.
pub fn options_toml(operation: BoundOperation) -> String {
    let line = |(option, value): (&JobOption, &OptionValue)| format!("{} = {:?}\n", option.name, value.name);
    let lines: Vec<String> = operation.options().map(line).collect();
    if lines.is_empty() { String::new() } else { format!("[options]\n{}", lines.concat()) }
}

fn bind<'v>(operation: &'static Operation, value: impl Fn(&JobOption) -> &'v str) -> BoundOperation {
    let options = operation.options.iter().map(|option| (option.name.to_owned(), value(option).to_owned()));
    operation.bind(&options.collect()).expect("its options")
}
