//! The page of a folder of images: its numbers, and pictures of each class.

use super::html::{Text, base64, count, fixed, push};
use super::page::head;
use crate::data::{Bin, Survey};

/// Classes that are shown; the others are counted.
const CLASSES_AT_MOST: usize = 100;

/// Pictures of every class, in one way.
pub struct Gallery {
    /// What way that is.
    pub title: String,
    /// The same in more words.
    pub caption: String,
    /// A strip of pictures for each class as PNG, in the order of the classes.
    pub strips: Vec<Vec<u8>>,
}

/// The page: HTML that needs nothing beside itself.
pub fn dataset_page(title: &str, survey: &Survey, galleries: &[Gallery]) -> String {
    let mut html = head(title);
    let all = survey.all;
    let kind = if survey.channels == 1 { "grey" } else { "colour" };
    push!(html, "<body><header><p class=\"eyebrow\">netadapt images</p><h1>{}</h1>", Text(title));
    push!(html, "<p class=\"lede\"><b>{}</b> {kind} images of ", count((all.train + all.holdout + all.test) as f64));
    push!(html, "<b>{} classes</b>: {} to train on, ", survey.classes.len(), all.train);
    push!(html, "{} held out, {} to test with. Three quarters of them fill an ", all.holdout, all.test);
    push!(html, "input of <b>{} px</b>, which ", survey.suggested.size);
    push!(html, "the preset <b>{}</b> is made for. For so many images of a network that ", survey.suggested.preset);
    push!(html, "is trained alone, from new weights, <b>{}</b> augmentation ", survey.suggested.augment);
    html.push_str("is suggested.</p></header><main>");

    push!(html, "<section id=\"sizes\"><h2>Sizes</h2><p class=\"about\">Short sides in pixels; ");
    push!(html, "half of them have at least {}.</p>", survey.median_short_side);
    let most = survey.short_sides.iter().map(|bin| bin.images).max().unwrap_or_default();
    html.push_str("<table class=\"list\"><thead><tr><th>pixels<th>images<th></thead><tbody>");
    for bin in &survey.short_sides {
        push!(html, "<tr><th>{}<td>{}<td class=\"rod\">{}</tr>", pixels(bin), bin.images, rod(bin.images, most));
    }
    push!(html, "</tbody></table><p class=\"about\">Mean {} ", numbers(&survey.mean));
    push!(html, "and deviation {} of the training images at {} px.</p></section>", numbers(&survey.std), survey.size);

    html.push_str("<section id=\"classes\"><h2>Classes</h2>");
    let left_out = survey.classes.len().saturating_sub(CLASSES_AT_MOST);
    if left_out > 0 {
        push!(html, "<p class=\"about\">The last {left_out} are left out.</p>");
    }
    let most = survey.classes.iter().map(|class| class.images.train).max().unwrap_or_default();
    html.push_str("<table class=\"list\"><thead><tr><th>class<th>train<th><th>held out<th>test</thead><tbody>");
    for class in survey.classes.iter().take(CLASSES_AT_MOST) {
        let images = class.images;
        push!(html, "<tr><th>{}<td>{}<td class=\"rod\">", Text(&class.name), images.train);
        push!(html, "{}<td>{}<td>{}</tr>", rod(images.train, most), images.holdout, images.test);
    }
    html.push_str("</tbody></table></section>");

    for gallery in galleries {
        push!(html, "<section><h2>{}</h2>", Text(&gallery.title));
        push!(html, "<p class=\"about\">{}</p>", Text(&gallery.caption));
        for (class, strip) in survey.classes.iter().zip(&gallery.strips).take(CLASSES_AT_MOST) {
            push!(html, "<figure class=\"strip\"><figcaption>{}</figcaption><img alt=\"\" ", Text(&class.name));
            push!(html, "src=\"data:image/png;base64,{}\"></figure>", base64(strip));
        }
        html.push_str("</section>");
    }
    html.push_str("</main></body></html>\n");
    html
}

fn pixels(bin: &Bin) -> String {
    match bin.below {
        None => format!("{} and more", bin.from),
        Some(below) => format!("{} to {}", bin.from, below - 1),
    }
}

fn numbers(values: &[f32]) -> String {
    values.iter().map(|value| fixed(f64::from(*value), 3)).collect::<Vec<_>>().join(", ")
}

/// A bar whose full length is `most`.
fn rod(images: usize, most: usize) -> String {
    let width = images as f64 / most.max(1) as f64 * 100.0;
    format!(
        "<svg class=\"meter\" width=\"100%\" height=\"8\"><rect class=\"part\" width=\"{width:.2}%\" height=\"8\" rx=\"2\"/>\
         </svg>"
    )
}
