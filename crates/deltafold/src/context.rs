//! What commands share: the data directory, the configuration, the store.

use std::path::{Path, PathBuf};

use deltafold_store::EventStore;

use crate::{
    cli::Global,
    config::{self, Flags, Loaded},
    exit::{Exit, Failure},
    failures::OrExit,
};

/// The token to send to a server, and the file that has it: what is on the command line comes before both.
pub(crate) const TOKEN: &str = "DELTAFOLD_TOKEN";
pub(crate) const TOKEN_FILE: &str = "DELTAFOLD_TOKEN_FILE";

/// What commands share.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    global: Global,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Self { global }
    }

    /// Where the data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.global.data.clone().unwrap_or_else(|| PathBuf::from("data"))
    }

    /// The data directory named on the command line.
    pub(crate) fn chosen_data(&self) -> Option<&Path> {
        self.global.data.as_deref()
    }

    /// The server to talk to instead.
    pub(crate) fn url(&self) -> Option<&str> {
        self.global.url.as_deref()
    }

    /// The token to send to it, if there is one.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (from, text) = match (&self.global.token_file, set(TOKEN)) {
            (None, Some(token)) => (TOKEN.to_owned(), token),
            (file, _) => {
                let Some(file) = file.clone().or_else(|| set(TOKEN_FILE).map(PathBuf::from)) else { return Ok(None) };
                let text = std::fs::read_to_string(&file).map_err(|error| {
                    Failure::new(Exit::Usage, format!("cannot read the token in {}: {error}", file.display()))
                })?;
                (file.display().to_string(), text)
            }
        };
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::new(Exit::Usage, format!("{from}: expected a token, one word of ASCII")));
        }
        Ok(Some(token.to_owned()))
    }

    /// Whether output is for programs.
    pub(crate) fn json(&self) -> bool {
        self.global.json
    }

    /// The configuration, with what flags set in it.
    pub(crate) fn config(&self, flags: &Flags) -> Result<Loaded, Failure> {
        config::load(self.global.config.as_deref(), flags).map_err(|errors| {
            let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::new(Exit::Usage, lines.join("\n"))
        })
    }

    /// The event store, made if it is not there.
    pub(crate) async fn open_store(&self) -> Result<EventStore, Failure> {
        open_store(&self.data()).await
    }

    /// The event store that a command needs to be there already.
    pub(crate) async fn open_existing_store(&self) -> Result<EventStore, Failure> {
        let data = self.data();
        if !data.join("events").exists() {
            let message = format!(
                "there is no data in {}: name its directory with --data, or a server with --url",
                data.display()
            );
            return Err(Failure::new(Exit::NotFound, message));
        }
        open_store(&data).await
    }

    /// Refuses `--url` where a command works on the data directory only.
    pub(crate) fn refuse_url(&self, command: &str) -> Result<(), Failure> {
        match self.url() {
            Some(_) => Err(Failure::new(
                Exit::Usage,
                format!("{command} works on a data directory: --url has no meaning here"),
            )),
            None => Ok(()),
        }
    }
}

/// Opens the event store of a data directory and says what opening repaired.
pub(crate) async fn open_store(data: &Path) -> Result<EventStore, Failure> {
    let store = EventStore::open(data, deltafold_store::Options::default()).await.or_exit()?;
    for torn in &store.opened().torn {
        tracing::warn!(
            table = torn.table,
            version = torn.version,
            kept = torn.kept,
            "a crash left the last log entry torn ({}); it was never acknowledged and is moved aside",
            torn.what
        );
    }
    Ok(store)
}
