//! What the stand-in keeps: two objects and their pods, changed by merge patches that name a version.

use serde_json::{Value, json};

use super::status;

/// The objects, and what their controllers do.
#[derive(Clone)]
pub struct Objects {
    objects: Vec<Value>,
    pods: Vec<(Value, u32)>,
    version: u64,
    /// Which object another tool scales again, to what, and how many times still.
    pub again: Option<(String, u64, u32)>,
    /// How many looks pods stay for.
    pub looks: u32,
}

impl Objects {
    pub fn new() -> Self {
        let mut new = Self { objects: Vec::new(), pods: Vec::new(), version: 100, again: None, looks: 2 };
        new.add("Deployment", "web", 3);
        new.add("StatefulSet", "queue", 2);
        new
    }

    fn add(&mut self, kind: &str, name: &str, replicas: u64) {
        self.objects.push(json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-of-{name}"), "resourceVersion": "100", "generation": 1,
                "annotations": {"somebody/elses": "stays"}, "managedFields": []},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "shop"}}},
            "status": {"observedGeneration": 1, "replicas": replicas}
        }));
        self.start_pods(kind, name, replicas);
    }

    /// What its controller does when it is scaled up.
    fn start_pods(&mut self, kind: &str, name: &str, replicas: u64) {
        let owner = match kind {
            "Deployment" => json!({"kind": "ReplicaSet", "name": format!("{name}-5d4f8c7b9"), "uid": "u"}),
            _ => json!({"kind": kind, "name": name, "uid": format!("uid-of-{name}")}),
        };
        for number in 0..replicas {
            let labels = json!({"app": "shop", "pod-template-hash": "5d4f8c7b9"});
            let metadata = json!({"name": format!("{name}-{number}"), "labels": labels, "ownerReferences": [owner]});
            self.pods.push((
                json!({"metadata": metadata, "spec": {"nodeName": "node1"}, "status": {"phase": "Running"}}),
                0,
            ));
        }
    }

    fn find(&mut self, name: &str) -> Option<&mut Value> {
        self.objects.iter_mut().find(|object| object["metadata"]["name"] == name)
    }

    pub fn seen(&mut self, name: &str) -> (u64, Option<Value>) {
        let object = self.find(name).expect("an object");
        assert_eq!(object["metadata"]["annotations"]["somebody/elses"], "stays");
        let note = object["metadata"]["annotations"]["bkp/paused"].as_str();
        (object["spec"]["replicas"].as_u64().unwrap(), note.map(|note| serde_json::from_str(note).unwrap()))
    }

    pub fn pods(&self) -> usize {
        self.pods.len()
    }

    /// Gives it a new version, as every change does.
    pub fn touch(&mut self, name: &str) {
        self.version += 1;
        let version = self.version.to_string();
        if let Some(object) = self.find(name) {
            object["metadata"]["resourceVersion"] = json!(version);
        }
    }

    pub fn scale(&mut self, name: &str, replicas: u64, manager: &str) {
        let object = self.find(name).expect("an object");
        let kind = object["kind"].as_str().expect("a kind").to_owned();
        object["spec"]["replicas"] = json!(replicas);
        let generation = object["metadata"]["generation"].as_u64().unwrap() + 1;
        object["metadata"]["generation"] = json!(generation);
        object["status"] = json!({"observedGeneration": generation, "replicas": replicas});
        object["metadata"]["managedFields"] = json!([{"manager": manager, "operation": "Update", "apiVersion": "apps/v1",
            "time": "2026-11-20T23:10:08Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        self.touch(name);
        if replicas > 0 {
            self.pods.retain(|(pod, _)| !pod["metadata"]["name"].as_str().is_some_and(|pod| pod.starts_with(name)));
            self.start_pods(&kind, name, replicas);
        }
    }

    /// Takes the note away and nothing else.
    pub fn take_note(&mut self, name: &str) {
        let object = self.find(name).expect("an object");
        object["metadata"]["annotations"].as_object_mut().expect("annotations").remove("bkp/paused").expect("a note");
        self.touch(name);
    }

    /// Writes something else in its place.
    pub fn spoil_note(&mut self, name: &str) {
        let object = self.find(name).expect("an object");
        object["metadata"]["annotations"]["bkp/paused"] = json!("replicas: 2");
        self.touch(name);
    }

    /// Reads or changes one object.
    pub fn object(&mut self, path: &str, patch: Option<Value>) -> (u16, Value) {
        let mut parts = path.rsplit('/');
        let (name, resource) =
            (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default().to_owned());
        let plural = |object: &Value| object["kind"].as_str().map(|kind| format!("{}s", kind.to_lowercase()));
        let Some(object) = self.find(&name).filter(|object| plural(object).as_ref() == Some(&resource)) else {
            return status(404, "NotFound", &format!("{resource}.apps \"{name}\" not found"));
        };
        let Some(patch) = patch else { return (200, object.clone()) };
        if patch["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            let words = format!(
                "Operation cannot be fulfilled on {resource}.apps \"{name}\": the object has been modified; please apply your changes to the latest version and try again"
            );
            return status(409, "Conflict", &words);
        }
        merge(object, &patch);
        if let Some(replicas) = patch["spec"]["replicas"].as_u64() {
            self.scale(&name, replicas, "bkp");
            if let Some((_, to, times)) =
                self.again.as_mut().filter(|(of, _, times)| replicas == 0 && *of == name && *times > 0)
            {
                *times -= 1;
                let to = *to;
                self.scale(&name, to, "argocd-controller");
            }
        }
        self.touch(&name);
        (200, self.find(&name).expect("an object").clone())
    }

    /// Lists all pods that bear the label: also those of the other object. Those whose object is at zero go in the end.
    pub fn list(&mut self, query: &str) -> (u16, Value) {
        assert!(query.contains("labelSelector=app%3Dshop"), "{query}");
        let looks = self.looks;
        let down: Vec<String> = self
            .objects
            .iter()
            .filter(|object| object["spec"]["replicas"] == 0)
            .filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned))
            .collect();
        for (pod, seen) in &mut self.pods {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            if down.iter().any(|down| name.starts_with(down.as_str())) {
                *seen += 1;
            }
        }
        self.pods.retain(|(_, seen)| *seen <= looks);
        let items: Vec<&Value> = self.pods.iter().map(|(pod, _)| pod).collect();
        (200, json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
    }
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            into.as_object_mut().expect("an object").remove(key);
        } else {
            merge(&mut into[key], value);
        }
    }
}
