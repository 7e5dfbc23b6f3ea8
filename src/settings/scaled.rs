//! What Kubernetes runs and can be scaled: `deployment/NAME`, `statefulset/NAME`.

use std::fmt;

/// A name's length in Kubernetes.
const NAME_LIMIT: usize = 253;

/// What kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pods that are all alike.
    Deployment,
    /// Pods that have a name and a volume each.
    StatefulSet,
}

impl Kind {
    /// As it stands in a path of the API and in a Role.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Kind::Deployment => "deployments",
            Kind::StatefulSet => "statefulsets",
        }
    }

    /// The ways that kubectl lets people write it.
    fn named(word: &str) -> Option<Kind> {
        match word.to_ascii_lowercase().as_str() {
            "deployment" | "deployments" | "deploy" | "deployment.apps" => Some(Kind::Deployment),
            "statefulset" | "statefulsets" | "sts" | "statefulset.apps" => Some(Kind::StatefulSet),
            _ => None,
        }
    }
}

/// One thing that can be scaled, in the namespace of this pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its name: lower case letters, digits, `-` and `.`.
    pub name: String,
}

/// As `kubectl` takes it.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Deployment => "deployment",
            Kind::StatefulSet => "statefulset",
        };
        write!(f, "{kind}/{}", self.name)
    }
}

/// Reads a list with commas between.
pub(super) fn parse(text: &str) -> Result<Vec<Object>, String> {
    let mut objects: Vec<Object> = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let object = word
            .split_once('/')
            .and_then(|(kind, name)| Some(Object { kind: Kind::named(kind)?, name: name.to_owned() }))
            .filter(|object| is_name(&object.name))
            .ok_or("must be deployment/NAME or statefulset/NAME, several with commas between them")?;
        if objects.contains(&object) {
            return Err(format!("names {object} twice"));
        }
        objects.push(object);
    }
    Ok(objects)
}

/// What the API takes for a name; it becomes part of a path.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= NAME_LIMIT
        && text.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'.'))
        && ends.into_iter().all(|byte| byte.is_some_and(plain))
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_kubectl_would() {
        let objects = parse("deployment/taiga-back-deployment, sts/db,,deploy/x.y").unwrap();
        let shown: Vec<String> = objects.iter().map(Object::to_string).collect();
        assert_eq!(shown, ["deployment/taiga-back-deployment", "statefulset/db", "deployment/x.y"]);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for wrong in [
            "taiga",
            "pod/x",
            "deployment/",
            "deployment/X",
            "deployment/a/scale",
            "deployment/../secrets",
            "deployment/a?b",
            "deployment/-a",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("deploy/a,deployment/a").unwrap_err().contains("twice"));
    }
}
