//! The Pushgateway: <https://github.com/prometheus/pushgateway#api>.
//!
//! Values are sent with POST, which replaces those of the same name in the same group and keeps the others: a run that fails leaves in
//! its place when one last succeeded. Each command has a group of its own, so that a drill replaces nothing of a backup's.

use crate::settings::Secret;

/// What is sent.
pub const KIND: &str = "text/plain; version=0.0.4";

/// The group of an application's command; neither name has a character that a path would have to escape.
pub fn url(gateway: &Secret, app: &str, command: &str) -> Secret {
    Secret::new(format!("{}/metrics/job/bkp/app/{app}/command/{command}", gateway.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_of_an_application_is_a_group() {
        let gateway = Secret::new("https://u:p@gate.example.org/prefix".to_owned());
        let of = url(&gateway, "shop", "backup");
        assert_eq!(of.expose(), "https://u:p@gate.example.org/prefix/metrics/job/bkp/app/shop/command/backup");
    }
}
