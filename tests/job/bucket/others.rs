//! The round trip once against each of the other protocols, on servers that are not ours.

use super::{Shop, comes_back};
use crate::store::servers::{azurite, seaweedfs};
use crate::support::bkp::Bkp;

fn secret(secret: Option<&bkp::settings::secret::Secret>) -> &str {
    secret.expect("a secret").expose()
}

#[test]
fn a_shop_comes_back_from_seaweedfs() {
    let shop = Shop::open();
    let server = seaweedfs();
    let s3 = &server.options.s3;
    let bkp = |arguments: &[&str]| {
        let bkp = Bkp::new(&shop.cluster).env("POSTGRES_DB", "shop").env("BKP_BUCKET", "s3://test-bucket/some/prefix");
        let bkp = bkp.env("AWS_ENDPOINT_URL", s3.endpoint.as_deref().expect("an endpoint")).args(arguments);
        bkp.env("AWS_ACCESS_KEY_ID", secret(s3.access_key.as_ref()))
            .env("AWS_SECRET_ACCESS_KEY", secret(s3.secret_key.as_ref()))
    };
    comes_back(&shop, bkp);
    bkp(&["backup"]).env("BKP_BUCKET", "s3://no-such-bucket").run().fails_with(10).says("bkp init");
    bkp(&["list"])
        .env("AWS_SECRET_ACCESS_KEY", "wrong-canary")
        .run()
        .fails_with(1)
        .says("credentials")
        .never_says("canary");
}

#[test]
fn a_shop_comes_back_from_azurite() {
    let shop = Shop::open();
    let server = azurite();
    let azure = &server.options.azure;
    let bkp = |arguments: &[&str]| {
        let bkp = Bkp::new(&shop.cluster).env("POSTGRES_DB", "shop").env("BKP_BUCKET", "az://test-bucket/some/prefix");
        let bkp = bkp.env("AZURE_STORAGE_ENDPOINT", azure.endpoint.as_deref().expect("an endpoint")).args(arguments);
        let account = azure.account.as_deref().expect("an account");
        bkp.env("AZURE_STORAGE_ACCOUNT", account).env("AZURE_STORAGE_KEY", secret(azure.key.as_ref()))
    };
    comes_back(&shop, bkp);
    bkp(&["backup"]).env("BKP_BUCKET", "az://no-such-bucket").run().fails_with(10).says("bkp init");
    bkp(&["list"])
        .env("AZURE_STORAGE_KEY", "d3JvbmctY2FuYXJ5")
        .run()
        .fails_with(1)
        .says("credentials")
        .never_says("d3Jv");
}
