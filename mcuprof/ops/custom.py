"""Custom operators that runtimes for microcontrollers ship: signal front end, detection post-processing, Ethos-U."""

from __future__ import annotations

from mcuprof.ops.operator import Operator, as_stored

SIGNAL = (
    *("SignalDelay", "SignalEnergy", "SignalFftAutoScale", "SignalFilterBank", "SignalFilterBankLog"),
    *("SignalFilterBankSpectralSubtraction", "SignalFilterBankSquareRoot", "SignalFramer", "SignalIrfft"),
    *("SignalOverlapAdd", "SignalPCAN", "SignalRfft", "SignalStacker", "SignalWindow"),
)

OPERATORS = tuple(
    Operator(f"CUSTOM:{code}", as_stored) for code in (*SIGNAL, "TFLite_Detection_PostProcess", "ethos-u")
)
