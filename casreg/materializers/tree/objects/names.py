"""The reviewed table: which classes of scikit-learn load without a flag, and from where they are imported.

A class stands here when someone has read how it uses its fitted attributes: either only numpy and Python see
them (a wrong shape raises), or a check in `checks` makes sure of what compiled code takes for granted.  Those of
its estimators that do not are in `OUTSIDE`, with the reason.
"""

from __future__ import annotations

from typing import Final

_BY_MODULE: Final = {
    "sklearn.calibration": "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
    "sklearn.cluster": "KMeans MiniBatchKMeans BisectingKMeans DBSCAN HDBSCAN OPTICS AgglomerativeClustering "
    "FeatureAgglomeration AffinityPropagation MeanShift SpectralClustering SpectralBiclustering SpectralCoclustering",
    "sklearn.cluster._bisect_k_means": "_BisectingTree",
    "sklearn.compose._column_transformer": "_RemainderColsList",
    "sklearn.compose": "ColumnTransformer TransformedTargetRegressor",
    "sklearn.covariance": "EmpiricalCovariance LedoitWolf ShrunkCovariance OAS MinCovDet EllipticEnvelope "
    "GraphicalLasso GraphicalLassoCV",
    "sklearn.cross_decomposition": "CCA PLSCanonical PLSRegression PLSSVD",
    "sklearn.decomposition": "PCA TruncatedSVD IncrementalPCA NMF MiniBatchNMF FastICA FactorAnalysis KernelPCA "
    "SparsePCA MiniBatchSparsePCA DictionaryLearning MiniBatchDictionaryLearning SparseCoder "
    "LatentDirichletAllocation",
    "sklearn.discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
    "sklearn.dummy": "DummyClassifier DummyRegressor",
    "sklearn.ensemble": "RandomForestClassifier RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor "
    "GradientBoostingClassifier GradientBoostingRegressor HistGradientBoostingClassifier "
    "HistGradientBoostingRegressor AdaBoostClassifier AdaBoostRegressor BaggingClassifier BaggingRegressor "
    "IsolationForest RandomTreesEmbedding VotingClassifier VotingRegressor StackingClassifier StackingRegressor",
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.feature_extraction": "DictVectorizer FeatureHasher",
    "sklearn.feature_extraction.image": "PatchExtractor",
    "sklearn.feature_extraction.text": "CountVectorizer TfidfTransformer TfidfVectorizer HashingVectorizer",
    "sklearn.feature_selection": "SelectKBest SelectPercentile SelectFdr SelectFpr SelectFwe "
    "GenericUnivariateSelect VarianceThreshold SelectFromModel RFE RFECV SequentialFeatureSelector",
    "sklearn.frozen": "FrozenEstimator",
    "sklearn.gaussian_process": "GaussianProcessRegressor GaussianProcessClassifier",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": "RBF ConstantKernel WhiteKernel Matern RationalQuadratic DotProduct "
    "ExpSineSquared Sum Product Exponentiation CompoundKernel PairwiseKernel Hyperparameter",
    "sklearn.impute": "SimpleImputer KNNImputer MissingIndicator",
    "sklearn.impute._iterative": "IterativeImputer",  # the public name is there only after an import that says "enable"
    "sklearn.isotonic": "IsotonicRegression",
    "sklearn.kernel_approximation": "AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler SkewedChi2Sampler",
    "sklearn.kernel_ridge": "KernelRidge",
    "sklearn.linear_model": "LogisticRegression LogisticRegressionCV LinearRegression Ridge RidgeCV RidgeClassifier "
    "RidgeClassifierCV Lasso LassoCV ElasticNet ElasticNetCV Lars LassoLars OrthogonalMatchingPursuit "
    "BayesianRidge ARDRegression HuberRegressor QuantileRegressor TheilSenRegressor PoissonRegressor "
    "GammaRegressor TweedieRegressor SGDClassifier SGDRegressor SGDOneClassSVM Perceptron PassiveAggressiveClassifier "
    "PassiveAggressiveRegressor MultiTaskLasso MultiTaskLassoCV MultiTaskElasticNet MultiTaskElasticNetCV LarsCV "
    "LassoLarsCV LassoLarsIC OrthogonalMatchingPursuitCV RANSACRegressor",
    "sklearn.manifold": "ClassicalMDS Isomap LocallyLinearEmbedding MDS SpectralEmbedding TSNE",
    "sklearn.metrics._scorer": "_Scorer _PassthroughScorer _MultimetricScorer _CurveScorer",
    "sklearn.mixture": "GaussianMixture BayesianGaussianMixture",
    "sklearn.model_selection": "GridSearchCV RandomizedSearchCV KFold StratifiedKFold GroupKFold ShuffleSplit "
    "StratifiedShuffleSplit TimeSeriesSplit RepeatedKFold RepeatedStratifiedKFold LeaveOneOut LeavePOut "
    "LeaveOneGroupOut LeavePGroupsOut GroupShuffleSplit StratifiedGroupKFold PredefinedSplit "
    "FixedThresholdClassifier TunedThresholdClassifierCV",
    "sklearn.model_selection._search_successive_halving": "HalvingGridSearchCV HalvingRandomSearchCV",
    "sklearn.model_selection._split": "_CVIterableWrapper",
    "sklearn.multiclass": "OneVsRestClassifier OneVsOneClassifier OutputCodeClassifier _ConstantPredictor",
    "sklearn.multioutput": "MultiOutputClassifier MultiOutputRegressor ClassifierChain RegressorChain",
    "sklearn.naive_bayes": "GaussianNB MultinomialNB ComplementNB BernoulliNB CategoricalNB",
    "sklearn.neighbors": "KNeighborsClassifier KNeighborsRegressor RadiusNeighborsClassifier "
    "RadiusNeighborsRegressor NearestNeighbors NearestCentroid LocalOutlierFactor KernelDensity "
    "KNeighborsTransformer RadiusNeighborsTransformer NeighborhoodComponentsAnalysis",
    "sklearn.neural_network": "MLPClassifier MLPRegressor BernoulliRBM",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.pipeline": "Pipeline FeatureUnion",
    "sklearn.preprocessing": "StandardScaler MinMaxScaler MaxAbsScaler RobustScaler Normalizer Binarizer "
    "PowerTransformer QuantileTransformer PolynomialFeatures OneHotEncoder OrdinalEncoder LabelEncoder "
    "LabelBinarizer MultiLabelBinarizer KBinsDiscretizer FunctionTransformer TargetEncoder KernelCenterer "
    "SplineTransformer",
    "sklearn.random_projection": "GaussianRandomProjection SparseRandomProjection",
    "sklearn.semi_supervised": "LabelPropagation LabelSpreading SelfTrainingClassifier",
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
    "sklearn.svm": "SVC SVR NuSVC NuSVR OneClassSVM LinearSVC LinearSVR",
    "sklearn.tree": "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
}

MODULE_OF: Final = {name: module for module, names in _BY_MODULE.items() for name in names.split()}
"""Name of the class to the module that it is imported from."""

OUTSIDE: Final = {
    "Birch": "its nodes refer to each other in a circle; save the data and fit it again",
}
"""Estimators of scikit-learn that are not in the table, and why."""

LEFT_OUT: Final = {
    **dict.fromkeys(("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"), "_stop_words_id"),
    "BisectingKMeans": "_kmeans_single",
}
"""Attributes that mean nothing in another process, an address in memory and a function that `fit` chooses anew."""

REBUILT: Final = {"IsotonicRegression": ("f_", "_build_f", ("X_thresholds_", "y_thresholds_"))}
"""Attributes that are not stored, since a method of the class makes them again from others."""

TYPES: Final = {
    f"builtins.{one.__name__}": one
    for one in (bool, int, float, complex, str, bytes, list, tuple, dict, set, object)
}
"""Classes that may stand as values, besides numpy's scalar types: `dtype=float`."""

_SCORES: Final = "chi2 f_classif f_regression mutual_info_classif mutual_info_regression r_regression"
_UFUNCS: Final = (
    "log log1p log2 log10 exp expm1 exp2 sqrt cbrt square abs absolute negative reciprocal sign sin cos tan arcsin "
    "arccos arctan sinh cosh tanh arcsinh arccosh arctanh deg2rad rad2deg mean median max min sum std var ravel"
)
_METRICS: Final = (
    "accuracy_score balanced_accuracy_score top_k_accuracy_score average_precision_score brier_score_loss f1_score "
    "log_loss precision_score recall_score jaccard_score roc_auc_score matthews_corrcoef explained_variance_score "
    "r2_score max_error mean_squared_error mean_absolute_error median_absolute_error mean_squared_log_error "
    "root_mean_squared_error root_mean_squared_log_error mean_absolute_percentage_error mean_poisson_deviance "
    "mean_gamma_deviance d2_absolute_error_score d2_brier_score d2_log_loss_score "
    "mutual_info_score adjusted_mutual_info_score normalized_mutual_info_score rand_score adjusted_rand_score "
    "completeness_score homogeneity_score v_measure_score fowlkes_mallows_score"
)

CALLABLES: Final = (
    *(f"numpy.{name}" for name in _UFUNCS.split()),
    *(f"sklearn.feature_selection.{name}" for name in _SCORES.split()),
    *(f"sklearn.metrics.{name}" for name in _METRICS.split()),
    "sklearn.utils.check_array",
)
"""Functions that may stand as values: pure ones, of numpy and scikit-learn."""
