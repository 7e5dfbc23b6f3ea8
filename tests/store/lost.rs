//! Answers that are lost on the way back from real servers: what was stored is found, not told as "exists already".

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bkp::repository::bucket::options::StoreOptions;
use bkp::repository::bucket::store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{bytes, download, open, servers, upload};

/// A relay before a server that loses the answer to the next request whose head holds all of the marks.
struct Relay {
    address: SocketAddr,
    to_lose: Arc<AtomicUsize>,
}

impl Relay {
    async fn before(server: &str, marks: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let to_lose = Arc::new(AtomicUsize::new(0));
        let (server, left) = (server.to_owned(), to_lose.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(upstream) = TcpStream::connect(&server).await else {
                    continue;
                };
                tokio::spawn(relay(client, upstream, marks, left.clone()));
            }
        });
        Self { address, to_lose }
    }

    fn lose_next(&self) {
        self.to_lose.store(1, Ordering::SeqCst);
    }

    fn assert_lost(&self) {
        assert_eq!(self.to_lose.load(Ordering::SeqCst), 0, "no answer was lost");
    }
}

async fn relay(mut client: TcpStream, mut upstream: TcpStream, marks: &[&str], left: Arc<AtomicUsize>) {
    let (mut to_server, mut to_client) = (vec![0; 65536], vec![0; 65536]);
    let mut lose = false;
    loop {
        tokio::select! {
            read = client.read(&mut to_server) => {
                let Ok(length @ 1..) = read else { return };
                let text = String::from_utf8_lossy(&to_server[..length.min(2048)]);
                if marks.iter().all(|mark| text.contains(mark))
                    && left.compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
                {
                    lose = true;
                }
                if upstream.write_all(&to_server[..length]).await.is_err() { return }
            }
            read = upstream.read(&mut to_client) => {
                let Ok(length @ 1..) = read else { return };
                // Dropping the client's half is the loss: the server has done its work.
                if lose || client.write_all(&to_client[..length]).await.is_err() { return }
            }
        }
    }
}

async fn survives(relay: &Relay, store: &Store, name: &str, length: usize) {
    let content = bytes(length);
    relay.lose_next();
    let object = upload(store, name, &content).await.unwrap_or_else(|err| panic!("{name}: {err} {err:?}"));
    relay.assert_lost();
    assert_eq!(object.bytes, length as u64);
    assert!(download(store, name).await.expect("read") == content);
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").split('/').next().expect("a host").to_owned()
}

#[tokio::test]
async fn an_upload_to_seaweedfs_survives_the_loss_of_its_last_answer() {
    let server = servers::seaweedfs();
    let endpoint = server.options.s3.endpoint.clone().expect("an endpoint");
    let behind = |relay: &Relay| {
        let mut options: StoreOptions = server.options.clone();
        options.s3.endpoint = Some(format!("http://{}", relay.address));
        open("s3://test-bucket", &options)
    };
    let whole = Relay::before(&host(&endpoint), &["PUT /", "x-amz-checksum-crc32c"]).await;
    survives(&whole, &behind(&whole), "small", 1000).await;
    let parts = Relay::before(&host(&endpoint), &["POST /", "?uploadId="]).await;
    survives(&parts, &behind(&parts), "large", (17 << 20) + 5).await;
}

#[tokio::test]
async fn an_upload_to_azurite_survives_the_loss_of_its_last_answer() {
    let server = servers::azurite();
    let endpoint = server.options.azure.endpoint.clone().expect("an endpoint");
    let behind = |relay: &Relay| {
        let mut options: StoreOptions = server.options.clone();
        options.azure.endpoint = Some(endpoint.replace(&host(&endpoint), &relay.address.to_string()));
        open("az://test-bucket", &options)
    };
    let whole = Relay::before(&host(&endpoint), &["PUT /", "x-ms-blob-type: BlockBlob"]).await;
    survives(&whole, &behind(&whole), "small", 1000).await;
    let parts = Relay::before(&host(&endpoint), &["PUT /", "comp=blocklist"]).await;
    survives(&parts, &behind(&parts), "large", (17 << 20) + 5).await;
}
