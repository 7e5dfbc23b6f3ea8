pub mod gcs;
