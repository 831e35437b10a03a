//! What `docker-compose.yml` says: the versions, ports and passwords of the parts.

use crate::command::workspace_root;
use anyhow::{Context, Result, bail};
use yaml_rust2::{Yaml, YamlLoader};

/// A file or folder of the checkout that a service sees.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) service: String,
    /// Relative to the workspace's root.
    pub(super) source: String,
}

/// The compose file.
#[derive(Debug)]
pub(super) struct Compose(Yaml);

impl Compose {
    pub(super) fn read() -> Result<Self> {
        let path = workspace_root().join("docker-compose.yml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("parse {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut documents = YamlLoader::load_from_str(text)?;
        Ok(Self(documents.pop().context("it is empty")?))
    }

    fn service(&self, service: &str) -> Result<&Yaml> {
        let found = &self.0["services"][service];
        if found.is_badvalue() { bail!("docker-compose.yml has no service {service}") } else { Ok(found) }
    }

    /// The version of a service's image: what stands behind the colon.
    pub(super) fn version(&self, service: &str) -> Result<&str> {
        let image = self.service(service)?["image"].as_str();
        let version = image.and_then(|image| image.rsplit_once(':')).map(|(_, version)| version);
        version.with_context(|| format!("docker-compose.yml: the image of {service} has no version"))
    }

    /// A variable of a service's environment.
    pub(super) fn variable(&self, service: &str, name: &str) -> Result<String> {
        let value = self.service(service)?["environment"][name].as_str();
        value
            .map(|value| interpolate(value, |name| std::env::var(name).ok()))
            .with_context(|| format!("docker-compose.yml: {service} has no variable {name}"))?
    }

    /// The port of this machine at which a service is reached.
    pub(super) fn port(&self, service: &str) -> Result<u16> {
        let mapping = self.service(service)?["ports"][0].as_str();
        let mapping = mapping.with_context(|| format!("docker-compose.yml: {service} has no port"))?;
        let mapping = interpolate(mapping, |name| std::env::var(name).ok())?;
        let outside = mapping.rsplit(':').nth(1);
        outside
            .and_then(|port| port.parse().ok())
            .with_context(|| format!("docker-compose.yml: {service}: «{mapping}» is not ADDRESS:PORT:PORT"))
    }
}

impl Compose {
    /// What services see of the checkout.
    pub(super) fn mounts(&self) -> Result<Vec<Mount>> {
        let services = self.0["services"].as_hash().context("docker-compose.yml has no services")?;
        let mut mounts = Vec::new();
        for (service, definition) in services {
            let service = service.as_str().context("a service's name is text")?;
            let sources = definition["volumes"].as_vec().into_iter().flatten().filter_map(Yaml::as_str);
            let sources = sources.filter_map(|volume| volume.strip_prefix("./")?.split(':').next());
            mounts.extend(sources.map(|source| Mount { service: service.to_owned(), source: source.to_owned() }));
        }
        Ok(mounts)
    }
}

/// Puts variables in their places: `${NAME:-default}`, `${NAME}`, and `$$` for a dollar.
fn interpolate(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (inside, after) = after
            .strip_prefix('{')
            .and_then(|after| after.split_once('}'))
            .with_context(|| format!("«{text}»: a dollar is followed by {{NAME}} or by another dollar"))?;
        let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
        out.push_str(&variable(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned()));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_defaults_and_dollars_are_doubled() {
        let variable = |name: &str| (name == "SET").then(|| "7".to_owned());
        assert_eq!(interpolate("a ${SET:-1} ${UNSET:-2} ${UNSET} $$x", variable).unwrap(), "a 7 2  $x");
        assert!(interpolate("$SET", variable).is_err());
    }

    #[test]
    fn versions_ports_and_variables_are_found_and_what_is_missing_is_named() {
        let compose = Compose::parse(
            "services:\n  db:\n    image: some/db:1.2\n    ports: ['127.0.0.1:${NO_SUCH_PORT:-99}:5']\n    environment: {A: b}\n    volumes: [data:/d, './a/b:/c:ro']\n",
        )
        .unwrap();
        assert_eq!(compose.version("db").unwrap(), "1.2");
        assert_eq!(compose.port("db").unwrap(), 99);
        assert_eq!(compose.variable("db", "A").unwrap(), "b");
        assert_eq!(compose.variable("db", "C").unwrap_err().to_string(), "docker-compose.yml: db has no variable C");
        let mount = Mount { service: "db".into(), source: "a/b".into() };
        assert_eq!(compose.mounts().unwrap(), [mount]);
        assert_eq!(compose.port("queue").unwrap_err().to_string(), "docker-compose.yml has no service queue");
    }
}
