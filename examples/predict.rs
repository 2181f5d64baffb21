//! Runs an exported network on an image: `cargo run --release --example predict -- FOLDER IMAGE`.

use netadapt::gpu::{Gpu, Options};
use netadapt::model::Model;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, image] = arguments.as_slice() else { return Err("give an exported folder and an image".into()) };

    let gpu = Gpu::open(Options::default())?;
    let model = Model::open(&gpu, Path::new(folder))?;
    for prediction in model.predict(Path::new(image))?.iter().take(5) {
        let class = &model.network().architecture.classes[prediction.class];
        println!("{class} {:.1} %", prediction.probability * 100.0);
    }
    Ok(())
}
