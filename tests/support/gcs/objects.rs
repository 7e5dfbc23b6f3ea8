//! What the buckets hold, and how the JSON API describes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};
use serde_json::{Value, json};

#[derive(Clone)]
pub struct Object {
    pub content: Arc<Vec<u8>>,
    pub content_type: String,
    pub generation: u64,
    pub updated: jiff::Timestamp,
}

impl Object {
    pub fn crc32c(&self) -> String {
        crc32c_base64(&self.content)
    }

    pub fn md5(&self) -> String {
        STANDARD.encode(Md5::digest(self.content.as_slice()))
    }

    /// The resource `storage#object`.
    pub fn resource(&self, bucket: &str, name: &str) -> Value {
        json!({
            "kind": "storage#object",
            "id": format!("{bucket}/{name}/{}", self.generation),
            "name": name,
            "bucket": bucket,
            "generation": self.generation.to_string(),
            "metageneration": "1",
            "contentType": self.content_type,
            "storageClass": "STANDARD",
            "size": self.content.len().to_string(),
            "md5Hash": self.md5(),
            "crc32c": self.crc32c(),
            "etag": format!("CK{}EAE=", self.generation),
            "timeCreated": self.updated.to_string(),
            "updated": self.updated.to_string(),
        })
    }
}

pub fn crc32c_base64(content: &[u8]) -> String {
    STANDARD.encode(crc32c::crc32c(content).to_be_bytes())
}

#[derive(Default)]
pub struct Buckets {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
    generation: u64,
}

impl Buckets {
    pub fn with(bucket: &str) -> Self {
        Self { buckets: BTreeMap::from([(bucket.to_owned(), BTreeMap::new())]), generation: 1_700_000_000_000_000 }
    }

    pub fn has(&self, bucket: &str) -> bool {
        self.buckets.contains_key(bucket)
    }

    pub fn remove(&mut self, bucket: &str) {
        self.buckets.remove(bucket);
    }

    pub fn find(&self, bucket: &str, name: &str) -> Option<&Object> {
        self.buckets.get(bucket)?.get(name)
    }

    pub fn delete(&mut self, bucket: &str, name: &str) -> bool {
        self.buckets.get_mut(bucket).is_some_and(|objects| objects.remove(name).is_some())
    }

    pub fn names(&self, bucket: &str) -> Vec<String> {
        self.buckets.get(bucket).map(|objects| objects.keys().cloned().collect()).unwrap_or_default()
    }

    pub fn put(&mut self, bucket: &str, name: &str, content: Vec<u8>, content_type: Option<String>) -> Object {
        self.generation += 1;
        let object = Object {
            content: Arc::new(content),
            content_type: content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            generation: self.generation,
            updated: jiff::Timestamp::now(),
        };
        self.buckets.entry(bucket.to_owned()).or_default().insert(name.to_owned(), object.clone());
        object
    }

    /// One page of names from `prefix`, after the token; the token of the next page when there is more.
    pub fn page(&self, bucket: &str, prefix: &str, after: &str, most: usize) -> (Vec<Value>, Option<String>) {
        let Some(objects) = self.buckets.get(bucket) else {
            return (Vec::new(), None);
        };
        let mut rest = objects.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() > after).peekable();
        let mut items = Vec::new();
        let mut last = String::new();
        while items.len() < most
            && let Some((name, object)) = rest.next()
        {
            items.push(object.resource(bucket, name));
            last.clone_from(name);
        }
        (items, rest.peek().is_some().then_some(last))
    }
}
