return { intent_age_max = function(intent) return 1 * s end }
