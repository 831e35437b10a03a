//! `cargo xtask`: every developer command, one way to do each thing. CI runs the same ones.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program talks on its standard streams")]

mod bench;
mod check;
mod readers;
mod test;

use std::process::ExitCode;

fn usage() -> String {
    format!(
        "\
cargo xtask check              crate arrows, formatting, lints, licences
cargo xtask test               what CI runs: check, then every test, then readers of other makes
cargo xtask soak               the same tests in their long form
cargo xtask stack up           the parts of docker-compose.yml, without Docker; --deltafold PROGRAM takes that rather than build it
cargo xtask stack down         stop them; with --volumes forget their data too
cargo xtask stack status       which of them run, and their logs
cargo xtask bench NAME …       measure ({}); NAME --help says what it takes",
        bench::NAMES.join(", ")
    )
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["check"] => check::check_all(),
        ["test"] => check::check_all().and_then(|()| test::run_all(test::Length::Ci)),
        ["soak"] => test::run_all(test::Length::Soak),
        ["bench", name, rest @ ..] => bench::run_named(name, rest),
        ["stack", "up"] => xtask::stack::up(None).map(|said| println!("{said}")),
        ["stack", "up", "--deltafold", program] => {
            xtask::stack::up(Some(program.as_ref())).map(|said| println!("{said}"))
        }
        ["stack", "down"] => xtask::stack::down(false).map(|said| println!("{said}")),
        ["stack", "down", "--volumes"] => xtask::stack::down(true).map(|said| println!("{said}")),
        ["stack", "status"] => xtask::stack::status().map(|said| println!("{said}")),
        [] | ["help" | "--help" | "-h", ..] => {
            println!("{}", usage());
            Ok(())
        }
        _ => {
            eprintln!("no such command: {}\n\n{}", words.join(" "), usage());
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
