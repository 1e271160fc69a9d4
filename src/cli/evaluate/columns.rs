//! The measures as columns of tables and of comma-separated values.

use partwise::evaluate::Measures;

use super::super::escaped;

/// How scores are computed.
pub(super) const VARIANT: &str = "BSS Eval v3, sources, 512 taps";

/// A measure's name and its value.
pub(super) type Column = (&'static str, fn(&Measures) -> f64);
pub(super) const COLUMNS: [Column; 5] =
    [("SDR", |m| m.sdr), ("SIR", |m| m.sir), ("SAR", |m| m.sar), ("SI-SDR", |m| m.si_sdr), ("SNR", |m| m.snr)];

/// Those of which a gain over the mixture is told. A mixture has no artifacts, so the gain in SAR says nothing.
fn gains() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|(name, _)| *name != "SAR")
}

/// What the rows of a table tell beside the scores of whole recordings.
#[derive(Clone, Copy)]
pub(super) struct Beside {
    /// The gains over the mixture.
    pub(super) gains: bool,
    /// The medians over windows of so many seconds.
    pub(super) windows: Option<f64>,
}

impl Beside {
    /// The heading of a table whose first column is of names.
    pub(super) fn heading(self) -> Vec<String> {
        let mut heading = vec!["dB".to_string()];
        heading.extend(COLUMNS.iter().map(|(name, _)| name.to_string()));
        if self.gains {
            heading.extend(gains().map(|(name, _)| format!("{name} gain")));
        }
        if let Some(seconds) = self.windows {
            heading.extend(COLUMNS.iter().map(|(name, _)| format!("{name} {seconds}s")));
        }
        heading
    }

    /// A row: what is missing is left empty.
    pub(super) fn row(
        self,
        name: String,
        measures: &Measures,
        improvement: Option<&Measures>,
        windows: Option<&Measures>,
    ) -> Vec<String> {
        let cell = |measures: Option<&Measures>, value: fn(&Measures) -> f64| {
            measures.map_or_else(String::new, |measures| format!("{:.2}", value(measures)))
        };
        let mut cells = vec![name];
        cells.extend(COLUMNS.iter().map(|(_, value)| cell(Some(measures), *value)));
        if self.gains {
            let gain =
                |value: fn(&Measures) -> f64| improvement.map_or_else(String::new, |i| format!("{:+.2}", value(i)));
            cells.extend(gains().map(|(_, value)| gain(*value)));
        }
        if self.windows.is_some() {
            cells.extend(COLUMNS.iter().map(|(_, value)| cell(windows, *value)));
        }
        cells
    }
}

/// The names of the values of [`values`].
pub(super) const VALUES: &str = "sdr,sir,sar,si_sdr,snr,sdr_gain,sir_gain,si_sdr_gain,snr_gain";

/// Scores as comma-separated values. Gains that are missing are empty.
pub(super) fn values(measures: &Measures, improvement: Option<&Measures>) -> String {
    let Measures { sdr, sir, sar, si_sdr, snr } = measures;
    let gains = match improvement {
        Some(Measures { sdr, sir, si_sdr, snr, .. }) => format!("{sdr},{sir},{si_sdr},{snr}"),
        None => ",,,".to_string(),
    };
    format!("{sdr},{sir},{sar},{si_sdr},{snr},{gains}")
}

/// A text as a comma-separated value.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\"\""))
}
