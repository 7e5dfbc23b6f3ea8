//! stub
use crate::settings::Postgres;
use std::fmt;
pub struct Session { client: tokio_postgres::Client, database: String }
impl std::ops::Deref for Session { type Target = tokio_postgres::Client; fn deref(&self) -> &Self::Target { &self.client } }
#[derive(Debug)]
pub enum ConnectError { NoDatabase{}, Other{}, WrongPassword{} }
impl fmt::Display for ConnectError { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("x") } }
impl std::error::Error for ConnectError {}
impl ConnectError { pub fn hint(&self) -> Option<String> { None } }
impl Session {
    pub async fn connect(_: &Postgres, _: &str, _: &str) -> Result<Session, ConnectError> { Err(ConnectError::Other{}) }
    pub fn server_major(&self) -> u32 { 0 }
    pub fn server_version(&self) -> &str { "" }
    pub fn database(&self) -> &str { &self.database }
    pub async fn is_superuser(&self) -> anyhow::Result<bool> { Ok(true) }
}
