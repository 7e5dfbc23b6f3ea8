//! The Kubernetes API as a pod sees it: an address, an authority to check it by, and a token that says who asks.
//!
//! The token is read anew for every request, because the kubelet replaces it about once an hour, and so is the authority for every
//! phase of a run. A question that the API cannot take at the moment is asked again while there is patience: in an upgrade of a
//! cluster it is away for a minute or more.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::answer::{Ask, Refused, refused};
use super::pods::{self, Pod};
use super::seen::{MANAGER, Workload};
use crate::authorities::tls;
use crate::error::Failure;
use crate::settings::pause::Cluster;
use crate::settings::scaled::Object;

/// The longest that one request may take.
const REQUEST: Duration = Duration::from_secs(15);

/// The longest between two attempts, even if the API asks for more.
const PAUSE: Duration = Duration::from_secs(5);

/// How often a token is tried: once more than it takes to be replaced between its being read and its being sent.
const TOKENS: u32 = 3;

/// A connection to the API, in one namespace.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    namespace: String,
    token: PathBuf,
    patience: Duration,
    /// When the API last said anything that it meant: patience is for its silence as a whole, not for each question in it.
    heard: Arc<Mutex<Instant>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The object changed meanwhile.
    Conflict,
    /// There is no such object.
    Missing(anyhow::Error),
    /// Anything else.
    Failed(anyhow::Error),
}

impl From<Unanswered> for anyhow::Error {
    fn from(unanswered: Unanswered) -> anyhow::Error {
        match unanswered {
            Unanswered::Missing(error) | Unanswered::Failed(error) => error,
            Unanswered::Conflict => anyhow::anyhow!("it is changed by somebody all the time"),
        }
    }
}

impl Api {
    /// Reads who we are and whom to trust; asks nothing yet. Questions are repeated until it has been silent for as long as `patience`.
    ///
    /// # Errors
    /// When this is no pod, or one without a service account.
    pub fn open(cluster: &Cluster, patience: Duration) -> Result<Api> {
        let Some(host) = &cluster.host else {
            let hint = "run bkp in a pod of the cluster, or unset BKP_QUIESCE";
            return Err(Failure::new("there is no Kubernetes API: KUBERNETES_SERVICE_HOST is not set")
                .hint(hint)
                .into());
        };
        let account = |name: &str| cluster.account_dir.join(name);
        let namespace = read(&account("namespace"))?;
        let base = format!("https://{}/", authority(host, cluster.port));
        let (client, heard) = (client(&account("ca.crt"))?, Arc::new(Mutex::new(Instant::now())));
        Ok(Api { client, base, namespace, token: account("token"), patience, heard })
    }

    /// How an object is.
    ///
    /// # Errors
    /// When there is none, or it cannot be learned.
    pub async fn look(&self, object: &Object) -> Result<Workload, Unanswered> {
        let body = self.ask(&Ask::Look(object), self.client.get(self.path_of(object))).await?;
        Workload::read(object, &body).map_err(Unanswered::Failed)
    }

    /// Changes an object, unless somebody else has changed it since it was looked at.
    ///
    /// # Errors
    /// When somebody has, or it is refused.
    pub async fn change(&self, object: &Object, patch: &Value) -> Result<(), Unanswered> {
        self.ask(&Ask::Change(object), self.patch(object, patch, "")).await.map(|_| ())
    }

    /// Sends a change that is not done, and finds what would refuse it: a right that is missing, a policy.
    ///
    /// # Errors
    /// What was found.
    pub async fn rehearse(&self, object: &Object, patch: &Value) -> Result<(), Unanswered> {
        match self.ask(&Ask::Rehearse(object), self.patch(object, patch, "&dryRun=All")).await {
            // It is decided anew when it is done.
            Ok(_) | Err(Unanswered::Conflict) => Ok(()),
            Err(unanswered) => Err(unanswered),
        }
    }

    fn patch(&self, object: &Object, patch: &Value, how: &str) -> reqwest::RequestBuilder {
        self.client
            .patch(format!("{}?fieldManager={MANAGER}{how}", self.path_of(object)))
            .header(CONTENT_TYPE, "application/merge-patch+json")
            .body(patch.to_string())
    }

    /// The pods of an object that are not gone.
    ///
    /// # Errors
    /// When it cannot be learned.
    pub async fn pods(&self, object: &Object, workload: &Workload) -> Result<Vec<Pod>, Unanswered> {
        let selector = escaped(&workload.selector);
        let path = format!("{}api/v1/namespaces/{}/pods?labelSelector={selector}", self.base, self.namespace);
        let body = self.ask(&Ask::Pods(object), self.client.get(path)).await?;
        pods::alive(object, &workload.uid, &body).map_err(Unanswered::Failed)
    }

    fn path_of(&self, object: &Object) -> String {
        format!("{}apis/apps/v1/namespaces/{}/{}/{}", self.base, self.namespace, object.kind.resource(), object.name)
    }

    /// Asks until there is an answer that means something. A change may be sent twice: it names the version that it changes.
    async fn ask(&self, ask: &Ask<'_>, request: reqwest::RequestBuilder) -> Result<Bytes, Unanswered> {
        let heard = || self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *heard() + self.patience;
        let (mut delay, mut tokens, mut is_told) = (Duration::from_millis(200), 1, false);
        loop {
            let request =
                request.try_clone().context("a request that cannot be repeated").map_err(Unanswered::Failed)?;
            let answer = self.attempt(ask, request).await;
            if !matches!(answer, Err((Refused::Passing(_), _))) {
                *heard() = Instant::now();
            }
            let (why, asked) = match answer {
                Ok(body) => return Ok(body),
                Err((Refused::Unrehearsed, _)) => return Ok(Bytes::new()),
                Err((Refused::Conflict, _)) => return Err(Unanswered::Conflict),
                Err((Refused::Missing(failure), _)) => return Err(Unanswered::Missing(failure.into())),
                Err((Refused::Final(failure), _)) => return Err(Unanswered::Failed(failure.into())),
                Err((Refused::Token(failure), _)) if tokens >= TOKENS => {
                    return Err(Unanswered::Failed(failure.into()));
                }
                Err((Refused::Token(failure), asked)) => {
                    tokens += 1;
                    (failure.to_string(), asked)
                }
                Err((Refused::Passing(why), asked)) => (why, asked),
            };
            let rest = asked.unwrap_or(delay).min(PAUSE);
            if Instant::now() + rest >= until {
                return Err(Unanswered::Failed(silent(ask, &why, self.patience)));
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!("{} does not succeed yet, trying again: {why}", ask.what());
            }
            sleep(rest).await;
            delay = (delay * 2).min(PAUSE);
        }
    }

    /// Asks once; with a refusal comes how long the API wants to be left alone.
    async fn attempt(
        &self,
        ask: &Ask<'_>,
        request: reqwest::RequestBuilder,
    ) -> Result<Bytes, (Refused, Option<Duration>)> {
        let passing = |error: reqwest::Error| (unsent(ask, &error), None);
        let token = bearer(&self.token).map_err(|error| (Refused::Final(no_account(error)), None))?;
        let response = request.header(AUTHORIZATION, token).header(ACCEPT, "application/json").send().await;
        let response = response.map_err(passing)?;
        let (code, rest) = (response.status(), retry_after(&response));
        let body = response.bytes().await.map_err(passing)?;
        if code.is_success() { Ok(body) } else { Err((refused(ask, &self.namespace, code.as_u16(), &body), rest)) }
    }
}

fn silent(ask: &Ask<'_>, why: &str, patience: Duration) -> anyhow::Error {
    Failure::new(format!("{} did not succeed within {} s: {why}", ask.what(), patience.as_secs()))
        .hint("look whether the cluster's API is up, and whether a network policy lets this pod reach it")
        .into()
}

/// What a request that got no answer means. A certificate is not better the second time.
fn unsent(ask: &Ask<'_>, error: &reqwest::Error) -> Refused {
    let causes = causes(error);
    let tls = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>());
    if let Some(tls @ rustls::Error::InvalidCertificate(_)) = tls {
        return Refused::Final(
            Failure::new(format!("{}: this is not the cluster's Kubernetes API: {tls}", ask.what()))
                .hint("ca.crt of the pod's service account must be that of the cluster; start the pod anew"),
        );
    }
    Refused::Passing(match causes.last() {
        _ if error.is_timeout() => "no answer in time".to_owned(),
        Some(cause) => cause.to_string(),
        None => "no answer".to_owned(),
    })
}

/// All that is behind an error, the innermost last. An error of the system that wraps another names that one's source as its own.
fn causes<'a>(error: &'a (dyn std::error::Error + 'static)) -> Vec<&'a (dyn std::error::Error + 'static)> {
    let within = |error: &'a (dyn std::error::Error + 'static)| match error.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
        None => error.source(),
    };
    std::iter::successors(within(error), |error| within(*error)).collect()
}

fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Built by hand: no proxy stands between a pod and its cluster's API, and a token never follows a redirect.
fn client(authorities: &Path) -> Result<reqwest::Client> {
    let mut roots = RootCertStore::empty();
    let pem = read(authorities)?;
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap_or_default();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        let what = format!("{} holds no certificate in PEM form", authorities.display());
        return Err(Failure::new(what).hint("the pod's service account is damaged; start the pod anew").into());
    }
    let tls = tls(roots).context("TLS for the Kubernetes API")?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("bkp/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(PAUSE)
        .timeout(REQUEST)
        .build()
        .context("the client of the Kubernetes API")
}

/// One file of the service account, without the line's end.
fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string()).map_err(no_account)?;
    Ok(text.trim().to_owned())
}

fn bearer(path: &Path) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", read(path)?))
        .with_context(|| format!("{} holds no token", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn no_account(error: anyhow::Error) -> Failure {
    Failure::new("the pod's service account cannot be read")
        .hint("set serviceAccountName, and automountServiceAccountToken: true, in the pod's spec; its files must be readable for this account")
        .because(error)
}

/// An address as it stands in a URL.
fn authority(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

/// A value in a query.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_kinds_stand_in_a_url() {
        assert_eq!(authority("10.96.0.1", 443), "10.96.0.1:443");
        assert_eq!(authority("fd00:10:96::1", 6443), "[fd00:10:96::1]:6443");
        assert_eq!(authority("kubernetes.default.svc", 443), "kubernetes.default.svc:443");
    }

    #[test]
    fn a_selector_is_escaped() {
        assert_eq!(escaped("app=a,tier in (x,y)"), "app%3Da%2Ctier%20in%20%28x%2Cy%29");
    }

    #[test]
    fn without_a_cluster_or_an_account_that_is_what_is_told() {
        let error = Api::open(&Cluster::default(), REQUEST).err().unwrap();
        assert!(error.to_string().contains("KUBERNETES_SERVICE_HOST"), "{error}");
        let host = Some("10.96.0.1".to_owned());
        let cluster = Cluster { host, port: 443, account_dir: "/nonexistent".into() };
        let error = Api::open(&cluster, REQUEST).err().unwrap();
        assert!(crate::error::hints_of(&error)[0].contains("serviceAccountName"), "{error:#}");
    }
}
