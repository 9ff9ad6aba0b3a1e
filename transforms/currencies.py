"""Currency codes and symbols: the active codes of ISO 4217, and which currencies a symbol may stand for.

Never converts amounts.
"""

from collections.abc import Mapping

_CODES = """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY
COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR
ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR
MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN
SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"""
_DOLLARS = """USD CAD AUD NZD SGD HKD TWD MXN ARS CLP COP UYU BRL BBD BMD BND BSD BZD DOP FJD GYD JMD KYD LRD NAD NIO SBD SRD
TTD XCD"""

#: Active alphabetic codes of ISO 4217 (list one), without funds and metals.
CODES = frozenset(_CODES.split())

#: Currencies that are written with the symbol.
SYMBOLS: Mapping[str, frozenset[str]] = {
    "$": frozenset(_DOLLARS.split()),
    "€": frozenset({"EUR"}),
    "£": frozenset({"GBP", "EGP", "FKP", "GIP", "LBP", "SHP", "SSP", "SYP"}),
    "¥": frozenset({"JPY", "CNY"}),
}

#: The currency a symbol means when nothing is declared: only where it is nearly unique.
MEANT_BY: Mapping[str, str] = {"€": "EUR", "£": "GBP"}
