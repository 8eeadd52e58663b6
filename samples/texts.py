"""What the sample pages and recordings say. Every person, firm, place and number is made up."""

import re


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text, each on one line; the items of a list, (a) (b) (c), are paragraphs too."""
    parts = re.split(r"\n\n+|\n(?=\([a-z]\) )", text.strip())
    return [part.replace("\n", " ") for part in parts]


LEASE_PAGES = (
    """
# RESIDENTIAL LEASE AGREEMENT

This agreement is made on 14 March 2024 between Hollis & Byrne Property Management, 27 Quarry Lane, Eastbrook
(the "Landlord"), and Miriam Okafor and Daniel Okafor (together the "Tenant").

## 1. The Premises

The Landlord lets to the Tenant the apartment on the second floor of the north building at 112 Mill Street,
Eastbrook, consisting of three rooms, a kitchen, a bathroom, a hallway and a balcony of 6.5 square metres, with
a floor area of 84 square metres in all. One cellar compartment (No. 17) and one parking space (No. 9) belong to
the premises.

## 2. Term

The lease begins on 1 April 2024 and runs for a fixed term of twenty-four months. Unless one of the parties
gives notice in writing at least three months before the end of the term, the lease continues for an indefinite
time and may then be ended with three months' notice to the end of a month.

## 3. Rent

The monthly rent is 1,280.00 and is due on the third working day of each month. In addition the Tenant pays an
advance of 215.00 a month for heating, water and common charges, which is settled once a year on the basis of
the actual cost. Payments are made to the account named in Annex B.

## 4. Deposit

The Tenant pays a deposit of 2,560.00 before the keys are handed over. The Landlord keeps it apart from other
money and returns it with interest within eight weeks after the end of the lease, less the cost of any damage
that goes beyond ordinary wear.
""",
    """
## 5. Condition and Repairs

The premises are handed over in the condition recorded in the protocol of 28 March 2024. The roof of the north
building was repaired in February 2024. Two windows on the second floor are broken; the Landlord replaces them
before 30 April 2024 at no cost to the Tenant.

The Landlord keeps the building, the heating and the water pipes in good order. The Tenant reports defects
without delay. Small repairs, up to 90.00 in a single case and 400.00 in a year, are borne by the Tenant.

## 6. Use of the Premises

The premises are used as a dwelling by the Tenant and members of the household, four persons at most. Subletting
needs the written consent of the Landlord, which is not refused without good reason. Cats and small animals may
be kept; keeping a dog needs consent.

## 7. House Rules

(a) Quiet hours are from 10 p.m. to 6 a.m. and on Sundays.
(b) Bicycles are kept in the cellar, not in the stairwell.
(c) The front door stays locked between 9 p.m. and 6 a.m.
(d) Waste is sorted; the containers are emptied on Tuesdays.
(e) The laundry room is shared, one morning a week for each party.

## 8. Access

After notice of at least forty-eight hours the Landlord may enter the premises to inspect their condition, to
read meters or to show them to a future tenant, on working days between 10 a.m. and 6 p.m. In an emergency no
notice is needed.
""",
    """
## 9. Changes and Fixtures

The Tenant does not change walls, wiring or plumbing without written consent. Shelves, lamps and curtain rails
may be fixed in the usual way. At the end of the lease the Tenant removes fixtures and closes the holes, unless
the Landlord takes the fixtures over for a fair price.

## 10. End of the Lease

On the last day of the lease the premises are returned swept clean and with all seven keys. The parties go
through the rooms together and sign a protocol. Meter readings for electricity, gas and water are taken on the
same day.

## 11. Final Provisions

Changes to this agreement are valid in writing only. If one of its provisions is invalid, the others remain in
force. Annex A (floor plan) and Annex B (account and contact details) are part of this agreement.

Eastbrook, 14 March 2024

Landlord: ______________________      Tenant: ______________________

R. Hollis                                M. Okafor, D. Okafor
""",
)

INVOICE_HEAD = ("Brannock Roofing & Gutters", "Unit 4, Tannery Yard, Eastbrook", "Telephone 555 0142")
INVOICE_TO = ("Hollis & Byrne Property Management", "27 Quarry Lane", "Eastbrook")
INVOICE_FACTS = ("Invoice No. 2024-0318", "Date: 18 March 2024", "Due: 17 April 2024", "Site: 112 Mill Street")
INVOICE_ROWS = (
    ("Clay tiles, natural red", "240", "1.85", "444.00"),
    ("Ridge tiles", "18", "6.40", "115.20"),
    ("Zinc gutter, 8 m", "3", "72.50", "217.50"),
    ("Scaffolding, days", "5", "140.00", "700.00"),
    ("Labour, hours", "46", "52.00", "2,392.00"),
    ("Removal of old tiles", "1", "180.00", "180.00"),
)
INVOICE_TOTALS = (("Net", "4,048.70"), ("VAT 20 %", "809.74"), ("Total", "4,858.44"))
INVOICE_FOOT = (
    "Please pay within thirty days and name the invoice number.",
    "The work carries a guarantee of five years from the date of completion.",
    "Thank you for your order.",
)

REPORT_TITLE = "Quarterly Report: Mill Street Estate"
REPORT_SUMMARY = """
This report covers the first quarter of 2024 for the 48 apartments of the Mill Street estate. Occupancy rose
from 44 to 46 apartments. Two apartments in the south building are being renovated and will be let from June.

Rental income reached 171,360, which is 3.1 % above plan. Arrears fell to 2,940, the lowest figure since the
estate was taken over in 2019. The roof of the north building was repaired in February for 4,858.44 and is under
guarantee until 2029.

Energy use per square metre was 8 % lower than in the first quarter of last year. About half of this comes from
the mild winter, the other half from the new pumps and from the insulation of the top-floor ceilings.
"""
REPORT_TABLE = (
    ("Building", "Apartments", "Let", "Rent", "Arrears", "Repairs"),
    ("North", "16", "16", "59,840", "860", "6,204"),
    ("South", "16", "14", "51,520", "1,310", "18,750"),
    ("West", "12", "12", "45,600", "420", "2,115"),
    ("Mill House", "4", "4", "14,400", "350", "980"),
    ("Total", "48", "46", "171,360", "2,940", "28,049"),
)
REPORT_OUTLOOK = """
In the second quarter the two apartments of the south building will be finished and the broken windows on the
second floor of the north building replaced. The council has announced work on the main sewer in Mill Street
from 6 May; access to the parking spaces will be limited for about three weeks.

A survey among the tenants asks which improvements matter most to them: bicycle shelters, charging points, a
second laundry room or a play area. The answers will be in the next report, with an estimate of the cost.
"""

NOTE = """
Good morning. This is a note from the site visit on the fourteenth of March. The roof of the north building was
repaired last week, and the gutters are clean. Two windows on the second floor are still broken, and the
landlord promised to replace them before the end of the month.
"""

# Each turn: the voice, and what it says.
CALL = (
    ("slt", "Property management, good afternoon. How can I help you?"),
    (
        "rms",
        """Hello. The heating in our apartment has been cold since yesterday evening, and we have a small child
here.""",
    ),
    ("slt", "I am sorry to hear that. Which building are you in, please?"),
    ("rms", "The north building, second floor, on the left side."),
    (
        "slt",
        """Thank you. A technician is working next door today. I will send him to you this afternoon, between three
and four o'clock. Please make sure that somebody is at home.""",
    ),
    ("rms", "That is very kind. Thank you for your help, and goodbye."),
)
