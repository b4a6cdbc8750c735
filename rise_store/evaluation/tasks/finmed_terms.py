"""Two small glossaries; written for this project, CC0-1.0. Term -> (definition, what a beginner should know)."""

from __future__ import annotations

FINANCE = {
    "dividend": (
        "a share of profit that a company pays to its shareholders",
        "It is declared by the board and can be cut in a bad year.",
    ),
    "bond": (
        "a loan that an investor makes to a company or a state",
        "Its price falls when market interest rates rise.",
    ),
    "coupon": ("the interest that a bond pays at fixed dates", "It is stated as a percentage of the face value."),
    "equity": (
        "what remains of a company's assets once its debts are paid",
        "Shareholders own it and bear the first losses.",
    ),
    "liquidity": (
        "how quickly an asset turns into cash without losing value",
        "A firm with good liquidity pays its bills on time.",
    ),
    "inflation": ("a general rise in prices over time", "It eats up the real return of savings."),
    "mortgage": ("a loan that is secured by real estate", "The lender may sell the house if payments stop."),
    "balance sheet": (
        "a statement of assets, liabilities and equity at one date",
        "Both of its sides always add up to the same total.",
    ),
    "income statement": (
        "a statement of revenue, expenses and profit over a period",
        "It says whether the business earned more than it spent.",
    ),
    "cash flow": ("the money that moves into and out of a business", "Profit on paper does not pay wages; cash does."),
    "depreciation": (
        "the spreading of an asset's cost over its useful life",
        "It lowers profit without any cash leaving the firm.",
    ),
    "working capital": ("current assets minus current liabilities", "It finances stock and unpaid invoices."),
    "hedge": ("a position that offsets the risk of another one", "Airlines use it against swings of the fuel price."),
    "option": (
        "the right to buy or sell an asset at an agreed price",
        "The buyer can lose the premium, but no more than that.",
    ),
    "futures contract": (
        "an agreement to trade an asset at a later date and a set price",
        "Gains and losses are settled every day.",
    ),
    "index fund": (
        "a fund that holds the securities of a market index",
        "Its fees are low since nobody picks the shares.",
    ),
    "portfolio": ("all the investments that one investor holds", "Spreading it over sectors lowers the risk."),
    "volatility": ("how strongly a price swings around its mean", "Investors demand a premium for bearing it."),
    "yield": ("the income of an investment relative to its price", "A yield far above the market's is a warning sign."),
    "credit rating": ("an opinion on how likely a borrower is to repay", "A downgrade makes new debt more expensive."),
    "default": ("the failure to make a payment that is due on a debt", "Creditors then negotiate or go to court."),
    "collateral": ("an asset that secures a loan", "The bank values it below its market price."),
    "amortisation": ("the repayment of a loan in regular instalments", "Early instalments consist mostly of interest."),
    "net present value": (
        "the value today of future cash flows minus the outlay",
        "A project is worth doing if it is above zero.",
    ),
    "discount rate": (
        "the rate at which future cash flows are converted into today's value",
        "A higher one makes distant earnings worth less.",
    ),
    "initial public offering": (
        "the first sale of a company's shares to the public",
        "Banks underwrite it and set the price range.",
    ),
    "market capitalisation": (
        "the share price times the number of shares outstanding",
        "It changes with every trade on the exchange.",
    ),
    "earnings per share": (
        "net profit divided by the number of shares",
        "Analysts compare it with their forecasts each quarter.",
    ),
    "goodwill": ("what a buyer pays for a company beyond its net assets", "It is tested for impairment every year."),
    "accounts receivable": (
        "money that customers owe for goods already delivered",
        "Old invoices are often written off.",
    ),
    "audit": ("an independent examination of a company's books", "The auditor's opinion stands in the annual report."),
    "leverage": ("the use of borrowed money to increase a return", "It multiplies losses just as it multiplies gains."),
    "exchange rate": ("the price of one currency in another", "Exporters gain when their own currency weakens."),
    "central bank": (
        "the institution that issues a currency and sets its key rate",
        "It buys bonds when it wants to loosen policy.",
    ),
    "tax deduction": ("an expense that lowers taxable income", "Receipts must be kept in case of an inspection."),
    "pension fund": ("a pool of money that pays retirement benefits", "It invests for decades and holds many bonds."),
    "insurance premium": ("the price of an insurance policy", "It rises with the risk that is covered."),
    "break-even point": ("the sales at which revenue covers all costs", "Beyond it each unit sold adds to profit."),
    "hostile takeover": (
        "the purchase of a company against the will of its board",
        "The bidder appeals to shareholders directly.",
    ),
    "money market": ("the market for very short-term debt", "Treasury bills and commercial paper are traded there."),
}

MEDICAL = {
    "anaemia": ("a lack of red blood cells or of haemoglobin", "Patients feel tired and look pale."),
    "hypertension": (
        "blood pressure that is too high over a long time",
        "It often causes no symptoms until organs are damaged.",
    ),
    "insulin": ("the hormone that lets cells take up glucose", "It is injected under the skin before meals."),
    "biopsy": (
        "the removal of a small piece of tissue for examination",
        "A pathologist looks at it under a microscope.",
    ),
    "antibiotic": ("a drug that kills bacteria or stops their growth", "It does nothing against viruses."),
    "vaccine": (
        "a preparation that trains the immune system against a germ",
        "A booster renews the protection after some years.",
    ),
    "asthma": ("a disease in which the airways narrow in attacks", "An inhaler opens the bronchi within minutes."),
    "artery": ("a vessel that carries blood away from the heart", "Its wall is thick and pulses with every beat."),
    "vein": ("a vessel that carries blood back to the heart", "Valves inside it keep the blood from flowing back."),
    "tendon": ("a cord of tissue that ties a muscle to a bone", "It heals slowly since little blood reaches it."),
    "ligament": ("a band of tissue that ties one bone to another", "A sprain stretches or tears it."),
    "femur": ("the bone of the thigh, the longest of the body", "Elderly patients often break its neck in a fall."),
    "neuron": ("a cell that passes on electrical signals", "It speaks to its neighbours through synapses."),
    "kidney": ("the organ that filters blood and makes urine", "Dialysis takes over when both of them fail."),
    "hepatitis": ("an inflammation of the liver", "The skin may turn yellow and the urine dark."),
    "diabetes": ("a disease in which blood sugar stays too high", "Untreated, it harms the eyes, nerves and kidneys."),
    "stroke": (
        "the sudden loss of blood supply to a part of the brain",
        "Every minute counts: call an ambulance at once.",
    ),
    "myocardial infarction": (
        "the death of heart muscle after a coronary artery closes",
        "Pain may radiate into the left arm or the jaw.",
    ),
    "pneumonia": ("an infection of the air sacs of the lung", "Fever, cough and rapid breathing are typical."),
    "fracture": ("a break in a bone", "A cast keeps the fragments in place while they heal."),
    "anaesthesia": (
        "the loss of sensation that is brought about for surgery",
        "Patients must not eat for hours before it.",
    ),
    "platelet": (
        "a cell fragment that starts the clotting of blood",
        "Too few of them lead to bruises and nosebleeds.",
    ),
    "antibody": (
        "a protein that binds to one particular foreign molecule",
        "Plasma cells release it after an infection.",
    ),
    "thyroid gland": (
        "the gland in the neck that governs metabolism",
        "If it works too little, patients gain weight and feel cold.",
    ),
    "oedema": ("a swelling caused by fluid in the tissue", "Pressing a thumb into the leg leaves a dent."),
    "sepsis": (
        "a life-threatening reaction of the body to an infection",
        "Blood pressure drops and organs begin to fail.",
    ),
    "electrocardiogram": (
        "a recording of the heart's electrical activity",
        "Electrodes on the chest and limbs pick it up.",
    ),
    "ultrasound": ("imaging by sound waves that tissue reflects", "It uses no radiation, so it is safe in pregnancy."),
    "migraine": ("a headache in attacks, often with nausea", "A dark and quiet room brings some relief."),
    "epilepsy": ("a tendency to seizures that recur", "Most patients live without seizures on medication."),
    "osteoporosis": ("a loss of bone mass that makes bones break easily", "Exercise and vitamin D slow it down."),
    "arthritis": ("an inflammation of one or more joints", "Stiffness in the morning is a frequent complaint."),
    "cataract": ("a clouding of the eye's lens", "A surgeon replaces the lens by an artificial one."),
    "placebo": ("a treatment without an active ingredient", "Trials need it to tell a drug's effect from hope."),
    "triage": (
        "the sorting of patients by how urgent they are",
        "The nurse at the entrance decides who is seen first.",
    ),
    "incubation period": (
        "the time between infection and the first symptoms",
        "A person may pass the germ on before it ends.",
    ),
    "dehydration": ("a lack of water in the body", "Dry lips and dark urine are early signs."),
    "appendicitis": ("an inflammation of the appendix", "Pain moves from the navel to the lower right."),
    "pulse": (
        "the wave of pressure that each heartbeat sends through an artery",
        "It is felt at the wrist with two fingers.",
    ),
    "cortisol": ("a hormone of the adrenal gland that is released under stress", "It is highest in the early morning."),
}
