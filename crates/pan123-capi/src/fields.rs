//! What errors and results are made of: numbered fields.

use crate::{
    numbers::{CONSTANTS, PAN123_F_JSON, PAN123_F_STATE, PAN123_F_TOKEN},
    text::Text,
};

/// Fields with their values. Texts are lists; most have one entry.
#[derive(Clone, Default)]
pub(crate) struct Fields {
    numbers: Vec<(u32, i64)>,
    texts: Vec<(u32, Vec<Text>)>,
}

impl Fields {
    pub(crate) fn number(mut self, field: u32, value: impl Into<i64>) -> Self {
        self.numbers.push((field, value.into()));
        self
    }

    /// The same with another value for a field that it has, in its JSON too.
    pub(crate) fn with_number(mut self, field: u32, value: impl Into<i64>) -> Self {
        self.numbers.retain(|(known, _)| *known != field);
        self.texts.retain(|(known, _)| *known != PAN123_F_JSON);
        self.number(field, value).with_json()
    }

    /// The same with another value for a text that it has, in its JSON too.
    pub(crate) fn with_text(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        self.texts.retain(|(known, _)| ![field, PAN123_F_JSON].contains(known));
        self.text(field, value).with_json()
    }

    /// A number that C sees as `int64_t`. Larger ones do not occur: sizes end at 10 GiB, times in the year 292 million.
    pub(crate) fn size(self, field: u32, value: u64) -> Self {
        self.number(field, i64::try_from(value).unwrap_or(i64::MAX))
    }

    pub(crate) fn text(self, field: u32, value: impl AsRef<[u8]>) -> Self {
        self.list(field, [value])
    }

    pub(crate) fn list(mut self, field: u32, values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.texts.push((field, values.into_iter().map(Text::new).collect()));
        self
    }

    pub(crate) fn number_if(self, field: u32, value: Option<impl Into<i64>>) -> Self {
        match value {
            Some(value) => self.number(field, value),
            None => self,
        }
    }

    pub(crate) fn text_if(self, field: u32, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            Some(value) => self.text(field, value),
            None => self,
        }
    }

    /// Adds the JSON form of everything so far.
    pub(crate) fn with_json(self) -> Self {
        let json = self.json();
        self.text(PAN123_F_JSON, json)
    }

    pub(crate) fn get_number(&self, field: u32) -> Option<i64> {
        self.numbers.iter().find(|(known, _)| *known == field).map(|(_, value)| *value)
    }

    pub(crate) fn get_text(&self, field: u32, index: usize) -> Option<&Text> {
        self.texts.iter().find(|(known, _)| *known == field)?.1.get(index)
    }

    fn json(&self) -> String {
        let mut object = serde_json::Map::new();
        for (field, value) in &self.numbers {
            object.insert(name(*field), (*value).into());
        }
        for (field, values) in &self.texts {
            if [PAN123_F_TOKEN, PAN123_F_STATE].contains(field) {
                continue;
            }
            let text = |text: &Text| String::from_utf8_lossy(text.bytes()).into_owned();
            let value = match &values[..] {
                [one] if !is_list(*field) => text(one).into(),
                many => many.iter().map(text).collect::<Vec<_>>().into(),
            };
            object.insert(name(*field), value);
        }
        serde_json::Value::Object(object).to_string()
    }
}

fn is_list(field: u32) -> bool {
    use crate::numbers::{PAN123_F_SERVER, PAN123_F_SLICE_MD5};
    [PAN123_F_SERVER, PAN123_F_SLICE_MD5].contains(&field)
}

/// `PAN123_F_FILE_ID` is `file_id` in JSON.
fn name(field: u32) -> String {
    let constant = CONSTANTS.iter().find_map(|(name, value)| {
        let name = name.to_str().ok()?.strip_prefix("PAN123_F_")?;
        (*value == i64::from(field)).then_some(name)
    });
    constant.map_or_else(|| field.to_string(), str::to_lowercase)
}
