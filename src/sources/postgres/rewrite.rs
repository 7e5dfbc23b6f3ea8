//! stub
use std::collections::{BTreeMap, BTreeSet};
use super::name::Name;
use super::survey::Layout;
use anyhow::Result;
#[derive(Clone, Copy)] pub enum Keep { Meta, Nothing }
#[derive(Clone, Copy, Default)] pub enum RoleMode { #[default] Missing, All, None }
#[derive(Clone, Default)] pub struct RolePolicy { pub mode: RoleMode, pub existing: BTreeSet<Name>, pub connecting: Option<Name>, pub superuser: bool, pub only: Option<BTreeSet<Name>> }
#[derive(Clone, Default)] pub struct Policy { pub layout: Layout, pub rename: BTreeMap<Name,Name>, pub roles: RolePolicy, pub known_settings: Option<BTreeSet<String>>, pub server_major: Option<u32>, pub tablespaces: Option<BTreeSet<Name>>, pub sections_wanted: Option<BTreeSet<Name>> }
impl Policy { pub fn identity(layout: Layout) -> Policy { Policy { layout, ..Policy::default() } } }
pub enum Piece<'a> { Section(Option<&'a Name>), CreateDatabase{name:&'a Name, sql:&'a [u8]}, Property{database:&'a Name, sql:&'a [u8]}, Comment{database:&'a Name, sql:&'a [u8]}, Global(&'a [u8]), ExistingRole(&'a [u8]), Sql(&'a [u8]) }
impl Piece<'_> { pub fn sql(&self) -> &[u8] { b"" } }
pub struct Change { pub line: u64, pub what: String, pub why: String, pub notable: bool }
pub struct Report { pub changes: Vec<Change> }
pub struct Rewriter;
impl Rewriter { pub fn new(_: Policy, _: Keep) -> Self { Rewriter } pub fn push(&mut self, _: &[u8], _: &mut dyn FnMut(Piece<'_>) -> Result<()>) -> Result<()> { Ok(()) } pub fn finish(self, _: &mut dyn FnMut(Piece<'_>) -> Result<()>) -> Result<Report> { Ok(Report{changes: vec![]}) } }
pub struct Filter;
impl Filter { pub fn new(_: Policy) -> Self { Filter } pub fn push(&mut self, _: &[u8]) -> Result<Vec<u8>> { Ok(vec![]) } pub fn finish(self) -> Result<(Vec<u8>, Report)> { Ok((vec![], Report{changes: vec![]})) } }
