//! Folders, and whole files to and fro.

use futures::TryStreamExt;

use super::client;
use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn files_of_any_name_and_size_come_back_as_they_went() {
    let product = Product::start().await;
    let sandbox = client(&product).sandbox(product.sandbox().await);
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| i.wrapping_mul(i).to_le_bytes()[1]).collect();
    let name = "docs/odd ä?#%2e&.bin";
    let written = sandbox.upload(name, content.clone()).await.unwrap();
    assert_eq!(written.size, content.len() as u64);
    let pieces: Vec<_> = sandbox.download(name).await.unwrap().try_collect().await.unwrap();
    assert!(pieces.concat() == content, "{} pieces", pieces.len());
    assert!(sandbox.download("none").await.unwrap_err().is_not_found());

    sandbox.make_folder("docs/deep/er").await.unwrap();
    sandbox.make_folder("docs/deep/er").await.unwrap();
    sandbox.upload("docs/.hidden", "x").await.unwrap();
    let names = async |all| {
        let listed = sandbox.list_folder("/workspace/docs", all).await.unwrap();
        listed.entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
    };
    assert_eq!(names(false).await, ["deep", "odd ä?#%2e&.bin"]);
    assert_eq!(names(true).await, [".hidden", "deep", "odd ä?#%2e&.bin"]);
    let entry = sandbox.stat(name).await.unwrap().unwrap();
    assert!(entry.is_file && entry.size == content.len() as u64, "{entry:?}");

    assert_eq!(sandbox.remove("docs", false).await.unwrap_err().status(), Some(409));
    for _ in 0..2 {
        sandbox.remove("docs", true).await.unwrap();
    }
    assert_eq!(sandbox.stat(name).await.unwrap(), None);
    product.stop().await;
}
