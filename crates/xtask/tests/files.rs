//! The files of `docker-compose.yml`, read by the programs that they are for.

use anyhow::Result;

#[test]
fn compose_takes_its_file() -> Result<()> {
    xtask::stack::check_compose()
}

#[test]
fn shared_settings_are_said_once_and_connectors_find_their_places() -> Result<()> {
    xtask::stack::check_places()
}

#[test]
fn the_broker_takes_its_settings() -> Result<()> {
    xtask::stack::check_broker()
}

#[test]
fn monitoring_takes_its_files_and_the_rules_do_what_their_examples_say() -> Result<()> {
    xtask::stack::check_monitoring()
}
