//! `deltafold verify`

use serde_json::json;

use crate::{
    context::Context,
    exit::{Exit, Failure},
    failures::OrExit,
    output,
};

pub(crate) async fn run(context: &Context) -> anyhow::Result<()> {
    context.refuse_url("verify")?;
    let store = context.open_existing_store().await?;
    let report = store.verify().await.or_exit()?;
    if context.json() {
        let problem = |problem: &deltafold_store::Problem| json!({ "table": problem.table, "place": problem.place, "what": problem.what });
        output::json(&json!({
            "commits": report.commits,
            "files": report.files,
            "events": report.events,
            "deadLetters": report.dead_letters,
            "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
        }))?;
    } else {
        for problem in &report.problems {
            output::line(format_args!("{} {}: {}", problem.table, problem.place, problem.what))?;
        }
        output::line(format_args!(
            "{} commits, {} files, {} events, {} dead letters read",
            output::count(report.commits),
            output::count(report.files),
            output::count(report.events),
            output::count(report.dead_letters),
        ))?;
    }
    match report.problems.len() {
        0 => Ok(()),
        problems => Err(Failure::new(Exit::Unverified, format!("the store has {problems} problems")).into()),
    }
}
