//! The nearest right name.

/// Says which of the names somebody may have meant, for the end of a message; nothing where none is near.
pub(crate) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    let name = name.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&name, &known.to_lowercase());
    let nearest = known.into_iter().map(|known| (distance(known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= (name.chars().count() / 3).max(1) => {
            format!("; did you mean \"{known}\"?")
        }
        _ => String::new(),
    }
}

/// Names as a list.
pub(crate) fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
