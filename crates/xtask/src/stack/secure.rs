//! The broker's encrypted listener (`SASL_SSL`), where clients say who they are by SCRAM.

use crate::command::{cache_dir, output};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const PASSWORD: &str = "deltafold";

/// What a client has to know.
#[derive(Debug, Clone)]
pub struct Secure {
    /// Where it listens, `host:port`.
    pub address: String,
    /// Who may connect.
    pub user: &'static str,
    /// In the clear.
    pub password: &'static str,
    /// The authority that has signed the broker's certificate, in PEM.
    pub authority: PathBuf,
    key_store: PathBuf,
}

impl Secure {
    /// Makes the certificates, once.
    pub(super) fn prepare(port: u16) -> Result<Self> {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let root = cache_dir("stack")?;
        let made = root.join("certificates");
        if !made.exists() {
            let partial = root.join(format!("certificates.{}", std::process::id()));
            std::fs::create_dir_all(&partial).with_context(|| format!("make {}", partial.display()))?;
            make_certificates(&partial)?;
            // Another process may have been faster.
            if std::fs::rename(&partial, &made).is_err() {
                super::folders::remove(&partial)?;
            }
        }
        Ok(Self {
            address: format!("127.0.0.1:{port}"),
            user: "deltafold",
            password: PASSWORD,
            authority: made.join("authority.pem"),
            key_store: made.join("broker.p12"),
        })
    }

    /// What librdkafka has to be told.
    pub fn properties(&self) -> Vec<(&'static str, String)> {
        vec![
            ("security.protocol", "SASL_SSL".into()),
            ("sasl.mechanism", "SCRAM-SHA-256".into()),
            ("sasl.username", self.user.into()),
            ("sasl.password", self.password.into()),
            ("ssl.ca.location", self.authority.display().to_string()),
        ]
    }

    /// The user, for `format --add-scram`.
    pub(super) fn scram(&self) -> String {
        format!("SCRAM-SHA-256=[name={},password={}]", self.user, self.password)
    }

    /// The listener's part of the broker's settings.
    pub(super) fn settings(&self) -> String {
        let key_store = self.key_store.display();
        format!(
            "sasl.enabled.mechanisms=SCRAM-SHA-256\n\
             listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-256\n\
             listener.name.secure.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.secure.ssl.keystore.type=PKCS12\n\
             listener.name.secure.ssl.keystore.location={key_store}\n\
             listener.name.secure.ssl.keystore.password={PASSWORD}\n"
        )
    }
}

/// An authority, and a certificate for this machine that it has signed.
fn make_certificates(dir: &Path) -> Result<()> {
    let keytool = |arguments: &[&str]| {
        let mut keytool = Command::new("keytool");
        keytool.current_dir(dir).args(arguments).args(["-keystore", "broker.p12", "-storetype", "PKCS12"]);
        output("keytool", keytool.args(["-storepass", PASSWORD])).map(drop)
    };
    let key = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "3650"];
    let authority =
        ["-alias", "authority", "-dname", "CN=Deltafold test authority", "-ext", "bc:c", "-ext", "ku=keyCertSign"];
    keytool(&[&key[..], &authority].concat())?;
    let broker = [
        "-alias",
        "broker",
        "-signer",
        "authority",
        "-dname",
        "CN=127.0.0.1",
        "-ext",
        "san=ip:127.0.0.1,dns:localhost",
    ];
    keytool(&[&key[..], &broker].concat())?;
    keytool(&["-exportcert", "-rfc", "-alias", "authority", "-file", "authority.pem"])?;
    keytool(&["-delete", "-alias", "authority"])
}
