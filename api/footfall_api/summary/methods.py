"""How each summary was made, in a sentence that goes out with it: whoever quotes a number can quote this too."""

from enum import StrEnum
from typing import Final

from footfall_api.summary import before_after, compare, profile, totals


class Language(StrEnum):
    """The languages of what is meant for people; all names of fields are English."""

    ENGLISH = "en"
    GERMAN = "de"


PROFILE: Final = {
    Language.ENGLISH: "Median and quartiles of the passages in the intervals of the period that lie at the same time "
    "of the same weekday and were wholly measured; public holidays are a kind of day of their own; "
    f"from fewer than {profile.LEAST_VALUES} values there is no median.",
    Language.GERMAN: "Median und Quartile der Durchgänge in den Zeitabschnitten des Zeitraums, die zur selben Uhrzeit "
    "desselben Wochentags liegen und vollständig gemessen wurden; Feiertage sind eine eigene Art von Tag; "
    f"aus weniger als {profile.LEAST_VALUES} Werten wird kein Median gebildet.",
}

COMPARE: Final = {
    Language.ENGLISH: "Passages beside the mean of the same time on like days of the 4 and 52 weeks before, and on the "
    "like day of the year before: for a day that is no public holiday the same weekday (a year before: 52 weeks) where "
    "it is no public holiday either, for a public holiday the public holidays before it (a year before: the one of the "
    "same name); only wholly measured times are compared; "
    f"from fewer than {compare.LEAST_DAYS} days there is no mean.",
    Language.GERMAN: "Durchgänge neben dem Mittel derselben Uhrzeit an vergleichbaren Tagen der 4 und 52 Wochen davor "
    "und am vergleichbaren Tag des Vorjahres: für einen Tag, der kein Feiertag ist, derselbe Wochentag (im Vorjahr: 52 "
    "Wochen davor), sofern auch er kein Feiertag ist, für einen Feiertag die Feiertage davor (im Vorjahr: der "
    "gleichen Namens); nur vollständig gemessene Zeiten werden verglichen; "
    f"aus weniger als {compare.LEAST_DAYS} Tagen wird kein Mittel gebildet.",
}

BEFORE_AFTER: Final = {
    Language.ENGLISH: "Mean of the passages of each weekday before and after, public holidays apart; only wholly "
    "measured times go in; the season and other differences between the two times are not taken out; "
    f"from fewer than {before_after.LEAST_DAYS} days there is no mean.",
    Language.GERMAN: "Mittel der Durchgänge jedes Wochentags davor und danach, Feiertage für sich; nur vollständig "
    "gemessene Zeiten gehen ein; Jahreszeit und andere Unterschiede der beiden Zeiten sind nicht herausgerechnet; "
    f"aus weniger als {before_after.LEAST_DAYS} Tagen wird kein Mittel gebildet.",
}

TOTALS: Final = {
    Language.ENGLISH: "Sum of the passages that were measured; nothing is filled in for gaps, whose number and length "
    "are given; best day, quietest day, peak hour and means are taken from wholly measured days and hours only; "
    f"from fewer than {totals.LEAST_DAYS} days there is no mean.",
    Language.GERMAN: "Summe der gemessenen Durchgänge; für Lücken wird nichts ergänzt, ihre Zahl und Länge sind "
    "angegeben; stärkster Tag, schwächster Tag, Spitzenstunde und Mittel kommen nur aus vollständig gemessenen Tagen "
    f"und Stunden; aus weniger als {totals.LEAST_DAYS} Tagen wird kein Mittel gebildet.",
}
