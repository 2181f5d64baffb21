//! What comes back: an exported network as it was or with other weights, and weights that a run starts from.

use crate::export::{TINY, exported, network, options, prints};
use crate::harness::gpu;
use crate::scene::Scene;
use netadapt::export::{ExportError, Facts, import, verify, write};
use netadapt::graph::initial_weights;
use netadapt::model::{Model, Network, to_safetensors};
use netadapt::run::{
    self, Config, Environment, Event, FinalStart, InitialWeights, Listener, RunError, RunResult, Stop,
};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;

fn save(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a file can be written");
}

#[test]
fn an_export_comes_back_and_goes_out_again() {
    let (dir, out) = exported();
    let back = dir.path().join("back");
    import(&out, None, &back).expect("the export is whole");
    let (before, after) = (Network::open(&out).expect("whole"), Network::open(&back).expect("whole"));
    assert_eq!((&before.architecture, &before.weights), (&after.architecture, &after.weights));
    let again = dir.path().join("again");
    write(gpu(), after, &Facts::default(), &options(17, Some(1)), &again).expect("it can be exported");
    let file = |folder: &Path, name: &str| std::fs::read(folder.join(name)).expect("a file of an export");
    for name in ["model.onnx", "train.safetensors", "golden.safetensors", "model.py"] {
        assert_eq!(file(&out, name), file(&again, name), "{name}");
    }
    assert!(matches!(import(&out, None, &back), Err(ExportError::Occupied { .. })));

    let path = out.join("train.safetensors");
    let mut bytes = file(&out, "train.safetensors");
    *bytes.last_mut().expect("no file is empty") ^= 1;
    save(&path, &bytes);
    let error = import(&out, None, &dir.path().join("changed")).expect_err("it is not what was exported").to_string();
    assert!(error.contains("train.safetensors") && error.contains("SHA-256"), "{error}");
    assert!(!dir.path().join("changed").exists());
}

/// As PyTorch saves a state dictionary: with counters of another type.
fn state_dict(network: &Network) -> Vec<u8> {
    let file = to_safetensors(&network.graph, &network.weights).expect("weights make a file");
    let file = SafeTensors::deserialize(&file).expect("it is one");
    let mut views: Vec<_> = file.tensors();
    let counter = TensorView::new(Dtype::I64, vec![], &[0; 8]).expect("a counter");
    views.push(("stem.conv.norm.num_batches_tracked".to_owned(), counter));
    safetensors::serialize(views, None).expect("they make a file")
}

#[test]
fn weights_that_were_trained_elsewhere_come_back() {
    let (dir, out) = exported();
    let tuned = network(TINY, |net| net.smallest());
    let tuned = Network { weights: initial_weights(&tuned.graph, 9), ..tuned };
    let (file, back) = (dir.path().join("tuned.safetensors"), dir.path().join("back"));
    save(&file, &state_dict(&tuned));
    let path = |path: &Path| path.display().to_string();
    let (text, _) = prints(&["import", &path(&out), "--weights", &path(&file), "--out", &path(&back)], 0);
    assert!(text.contains("10 classes, images of 28 px") && text.contains("--init-from"), "{text}");
    let model = Model::open(gpu(), &back).expect("it is whole");
    assert_eq!(model.network().weights.values, tuned.weights.values);

    let other = network(TINY, |net| net.full());
    save(&file, &state_dict(&other));
    let (_, message) = prints(&["import", &path(&out), "--weights", &path(&file), "--out", &path(&back)], 1);
    assert!(message.contains("tuned.safetensors"), "{message}");
    verify(&out).expect("what it was read from is as it was");
}

/// What a run remarks.
struct Notes(Vec<String>);

impl Listener for Notes {
    fn event(&mut self, event: &Event) {
        if let Event::Note { text } = event {
            self.0.push(text.clone());
        }
    }
}

/// The epochs of a training as a run's results have them.
fn epochs(config: &Config, training: &str) -> Vec<String> {
    let text = std::fs::read_to_string(config.out.join("results.csv")).expect("a file of the run");
    text.lines().filter(|line| line.starts_with(&format!("{training},"))).map(str::to_owned).collect()
}

/// The loss of the first epoch of a training.
fn first_loss(config: &Config, training: &str) -> f64 {
    let epochs = epochs(config, training);
    let line = epochs.iter().find(|line| line.starts_with(&format!("{training},1,"))).expect("an epoch");
    line.split(',').nth(3).expect("a loss").parse().expect("a number")
}

/// From new weights a network is trained for as many epochs as the super-network and a final training have, with an
/// augmentation of its own where the space has one; the super-network's stays.
#[test]
fn a_training_from_new_weights_is_longer_and_has_its_own_augmentation() {
    let scene = Scene::new();
    let own = scene.path("own.toml");
    let space = std::fs::read_to_string(&scene.space).expect("it is there");
    std::fs::write(&own, format!("scratch_augment = \"strong\"\n{space}")).expect("a file can be written");
    let trained = |out: &str, space: &str, final_start| {
        let config = Config { space: space.into(), final_start, ..scene.config(out, "100%MAC") };
        run::search(&config, gpu().clone().into(), &mut ()).expect("it ends");
        (epochs(&config, "supernet"), epochs(&config, "network-0"))
    };
    let own = own.display().to_string();
    let shared = trained("shared", &own, FinalStart::Shared);
    let plain = trained("plain", &scene.space, FinalStart::Scratch);
    let strong = trained("strong", &own, FinalStart::Scratch);
    assert_eq!(
        [&shared, &plain, &strong].map(|(supernet, network)| [supernet.len(), network.len()]),
        [[3, 3], [3, 6], [3, 6]]
    );
    assert!(shared.0 == plain.0 && plain.0 == strong.0, "the super-network's is the space's");
    assert_ne!(plain.1, strong.1);
}

#[test]
fn a_run_starts_from_the_weights_of_a_file() {
    let scene = Scene::new();
    let first = Config { final_start: FinalStart::Scratch, ..scene.config("first", "70%MAC") };
    run::search(&first, gpu().clone().into(), &mut ()).expect("it ends");
    let file = first.out.join("initial/model.safetensors");
    let init_from = Some(InitialWeights::open(&file).expect("it is there"));
    let second = Config { init_from, out: scene.path("second"), epochs: Some(1), ..first.clone() };
    let mut notes = Notes(Vec::new());
    run::search(&second, gpu().clone().into(), &mut notes).expect("it ends");
    let told = notes.0.iter().find(|note| note.contains(" start from ")).expect("it is told");
    let words: Vec<&str> = told.split(' ').collect();
    assert_eq!(words[0], words[2], "all of them start from it: {told}");
    // The found network, smaller than what the file is of, starts from its part of the same.
    for training in ["supernet", "network-0"] {
        let (warm, cold) = (first_loss(&second, training), first_loss(&first, training));
        assert!(warm < cold - 0.1, "{training}: {warm} {cold}");
    }

    let third = Config { out: scene.path("third"), ..second };
    let stop = || Environment { stop: Stop::at(1), ..Environment::from(gpu().clone()) };
    let stopped =
        |result: Result<RunResult, RunError>| assert!(matches!(result, Err(RunError::Stopped { .. })), "{result:?}");
    stopped(run::search(&third, stop(), &mut ()));
    let whole = std::fs::read(&file).expect("it is there");
    let mut changed = whole.clone();
    *changed.last_mut().expect("no file is empty") ^= 1;
    save(&file, &changed);
    let error = run::resume(&third.out, stop(), &mut ()).expect_err("it is another file");
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    assert!(text.contains("--init-from") && text.contains("initial/model.safetensors"), "{text}");
    save(&file, &whole);
    stopped(run::resume(&third.out, stop(), &mut ()));

    let value = TensorView::new(Dtype::F32, vec![1], &[0; 4]).expect("a tensor");
    save(&file, &safetensors::serialize([("head.extra", value)], None).expect("a file"));
    let path = |path: &Path| path.display().to_string();
    let search = |file: &str, more: &[&str], code: i32| {
        let out = path(&scene.path("refused"));
        let arguments = [&["search", &scene.data, "--preset", &scene.space, "--budget", "70%MAC"][..], more].concat();
        prints(&[&arguments[..], &["--out", &out, "--init-from", file]].concat(), code).1
    };
    assert!(search(&path(&file), &[], 2).contains("no tensor in it"));
    assert!(search("nowhere.safetensors", &[], 2).contains("nowhere.safetensors"));
    assert!(!scene.path("refused").exists());
}
