use super::source::{BUILT_IN, Source};
use super::*;

fn of(text: &str, options: Choices) -> Result<Recipe, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, text).expect("written");
    effective(file.to_str(), &options).map(|(recipe, _)| recipe).map_err(|e| e.to_string())
}

#[test]
fn built_in_recipes_make_sense_and_the_reference_says_everything() {
    for (name, text) in BUILT_IN {
        assert!(effective(Some(name), &Choices::default()).is_ok(), "{name}");
        assert!(toml::from_str::<Choices>(text).is_ok(), "{name}");
    }
    let said = Source::open("reference").expect("it is there").choices.table();
    let all = Choices::default().over(Source::open("reference").expect("it is there").choices).recipe(reference());
    let all = toml::Table::try_from(all.expect("a recipe")).expect("TOML");
    for name in all.keys().filter(|name| *name != "recipe") {
        // No patience is written as 0 there, and as nothing in a run's settings.
        assert!(said.contains_key(name), "{name}");
    }
    assert!(said.contains_key("early_stopping"));
}

#[test]
fn options_lie_over_the_file_and_the_file_over_the_reference() {
    let recipe = of("epochs = 7\nlabel_smoothing = 0.1", Choices { epochs: Some(3), ..Choices::default() });
    let recipe = recipe.expect("a recipe");
    assert_eq!((recipe.epochs, recipe.label_smoothing, recipe.image_size), (3, 0.1, 64));
    let (recipe, line) = effective(None, &Choices { epochs: Some(3), ..Choices::default() }).expect("a recipe");
    assert_eq!((recipe.learning_rate, line.as_str()), (0.001, "reference, but epochs 3"));
}

#[test]
fn a_recipe_finds_its_network_in_its_own_folder() {
    let recipe = |model: &str| of(&format!("model = \"{model}\""), Choices::default()).expect("a recipe").model;
    assert!(recipe("mine-too.toml").ends_with("/mine-too.toml"));
    assert_eq!((recipe("bugnet").as_str(), recipe("/nets/a.toml").as_str()), ("bugnet", "/nets/a.toml"));
}

#[test]
fn what_belongs_to_an_optimizer_or_a_schedule_goes_with_it() {
    let file = "optimizer = \"sgd\"\nlearning_rate = 0.5\nmomentum = 0.9\nschedule = \"cosine\"\nwarmup = 0.5";
    let options =
        Choices { optimizer: Some(OptimizerName::Adamw), schedule: Some(ScheduleName::OneCycle), ..Choices::default() };
    let recipe = of(file, options).expect("a recipe");
    assert_eq!((recipe.optimizer, recipe.learning_rate), (OptimizerSettings::AdamW, 0.001));
    assert_eq!((recipe.weight_decay, recipe.schedule), (0.01, ScheduleSettings::OneCycle { warmup: 0.3 }));
}

#[test]
fn what_makes_no_sense_is_named_with_its_place() {
    let none = Choices::default;
    for (text, expected) in [
        ("epochs = 3\nlabel_smothing = 0.1", "line 2"),
        ("epochs = 3\nlabel_smothing = 0.1", "label_smothing"),
        ("\nepochs = \"three\"", "line 2"),
        ("\n\nlabel_smoothing = 1.5", "mine.toml, line 3: label_smoothing = 1.5: it must be at least 0 and below 1"),
        ("average = nan", "average"),
        ("image_size = 7", "line 1: image_size = 7"),
        ("learning_rate = 0.0", "a number above 0"),
        ("momentum = 0.9", "belongs to sgd"),
        ("optimizer = \"sgd\"\nnesterov = true", "line 2: nesterov = true"),
        ("warmup = 0.1", "Constant has none"),
        ("schedule = \"cosine\"\nwarmup = 1.0", "line 2: warmup = 1.0"),
        ("optimizer = \"adma\"", "adma"),
        ("\n[augmentation]\nflip = 1.5", "line 2: augmentation: flip = 1.5: it must be between 0 and 1"),
        ("[augmentation]\nflop = 0.5", "flop"),
    ] {
        let error = of(text, none()).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let options = Choices { weight_decay: Some(-1.0), ..none() };
    assert!(of("", options).is_err_and(|e| e.contains("--weight-decay -1.0: it must be from 0 to 100")));
    assert!(effective(Some("nope"), &none()).is_err_and(|e| e.to_string().contains("reference")));
}

#[test]
fn balanced_weights_give_every_class_the_same_sum() {
    let labels = [0, 0, 0, 1];
    let weights = ClassWeights::Balanced.of(&labels, 2);
    assert_eq!(weights, [4.0 / 6.0, 2.0]);
    assert_eq!(labels.iter().map(|l| weights[*l as usize]).sum::<f32>(), 4.0);
    assert_eq!(ClassWeights::None.of(&labels, 2), [1.0, 1.0]);
}
